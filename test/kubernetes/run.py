#!/usr/bin/env python3
"""Every test_*.py here on one real cluster, which is taken down whatever happens. See README.md."""
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from harness import KubernetesTest  # noqa: E402

# What every change can wait for: the chart installed with our image, photos through it, the autoscaler's way there and back.
CI = ["test_helm_chart.ChartTest." + name for name in (
    "test_01_it_installs_and_its_own_test_passes", "test_02_photos_get_their_names", "test_08_the_autoscaler_goes_from_one_to_three_to_seven_and_back")]


def main():
    loader = unittest.TestLoader()
    names = CI if sys.argv[1:] == ["--ci"] else sys.argv[1:]
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
