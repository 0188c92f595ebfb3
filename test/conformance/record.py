#!/usr/bin/env python3
"""Records the answers of a real Triton into the conformance cases.

  test/conformance/record.py [--only TEXT] [--folder NAME] [--grpc HOST:PORT] HOST:PORT

Start the server with test/peers/triton.sh on test/conformance/models and the test backends. What is
ours ("ours", "because") stays as it is, and goes when Triton answers the same.
"""

import argparse
import pathlib
import sys

import case

HERE = pathlib.Path(__file__).resolve().parent


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    case.add_server_arguments(arguments)
    options = arguments.parse_args()
    server = case.Server(options)
    for each in case.load_all(HERE / options.folder, options.only):
        each.triton = each.send(server)
        if each.ours is not None and case.canonical(each.ours) == case.canonical(each.triton):
            each.ours = each.because = None
        each.save()
        print(f"{each.name}: {each.triton[0][1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
