#!/usr/bin/env python3
"""Runs the conformance cases against a v2 server.

  test/conformance/run.py [--triton] [--only TEXT] [--folder NAME] [--grpc HOST:PORT] HOST:PORT

--triton: the server is a real Triton; differences of ours are not expected. README.md says how the
server must be started for each folder.
"""

import argparse
import pathlib
import sys

import case

HERE = pathlib.Path(__file__).resolve().parent


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    case.add_server_arguments(arguments)
    arguments.add_argument("--triton", action="store_true", help="expect Triton's own answers")
    options = arguments.parse_args()
    server = case.Server(options)
    listed = (HERE / "README.md").read_text(encoding="utf-8")
    passed, failed, differences = 0, 0, 0
    for each in case.load_all(HERE / options.folder, options.only):
        expected = each.triton
        if each.ours is not None and not options.triton:
            expected = each.ours
            differences += 1
            if f"`{each.name}`" not in listed:
                print(f"FAIL {each.name}: its difference is not listed in README.md")
                failed += 1
                continue
        if expected is None:
            print(f"FAIL {each.name}: was never recorded")
            failed += 1
            continue
        got = each.send(server)
        if case.canonical(got) == case.canonical(expected):
            passed += 1
            continue
        failed += 1
        print(f"FAIL {each.name}")
        for title, answer in (("expected", expected), ("got", got)):
            print(f"  {title}: " + " | ".join(f"{word} {value}"[:600] for word, value in answer))
    print(f"{options.folder}: {passed} passed, {failed} failed ({differences} expected to differ from Triton)")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
