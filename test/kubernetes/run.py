#!/usr/bin/env python3
"""Every test_*.py here on one real cluster, which is taken down whatever happens. See README.md."""
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from harness import KubernetesTest  # noqa: E402


def main():
    loader = unittest.TestLoader()
    names = sys.argv[1:]
    suite = loader.loadTestsFromNames(names) if names else loader.discover(str(HERE), pattern="test_*.py", top_level_dir=str(HERE))
    try:
        result = unittest.TextTestRunner(verbosity=2, failfast=False).run(suite)
        if not result.wasSuccessful() and KubernetesTest.shared is not None:
            KubernetesTest.shared.show_logs()
    finally:
        KubernetesTest.take_down()
    return 0 if result.wasSuccessful() and result.testsRun > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
