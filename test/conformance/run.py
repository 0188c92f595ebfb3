#!/usr/bin/env python3
"""Runs the conformance cases against a v2 server.

  test/conformance/run.py [--triton] [--only TEXT] HOST:PORT

--triton: the server is a real Triton; differences of ours are not expected. The server serves
test/conformance/models with the test backends, and takes bodies of 80 MB and more.
"""

import argparse
import pathlib
import sys

import case

HERE = pathlib.Path(__file__).resolve().parent


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("server", metavar="HOST:PORT")
    arguments.add_argument("--triton", action="store_true", help="expect Triton's own answers")
    arguments.add_argument("--only", help="cases whose name contains this")
    options = arguments.parse_args()
    host, _, port = options.server.rpartition(":")
    listed = (HERE / "README.md").read_text(encoding="utf-8")
    passed, failed, differences = 0, 0, 0
    for each in case.load_all(HERE / "cases", options.only):
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
        got = each.send(host or "127.0.0.1", int(port))
        if case.canonical(got) == case.canonical(expected):
            passed += 1
            continue
        failed += 1
        print(f"FAIL {each.name}")
        for title, answer in (("expected", expected), ("got", got)):
            print(f"  {title}: " + " | ".join(f"{word} {value}"[:600] for word, value in answer))
    print(f"{passed} passed, {failed} failed ({differences} expected to differ from Triton)")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
