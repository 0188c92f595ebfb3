"""A short form of test/balancer/chaos.py: each thing that can happen to a server, once, under load."""
import random
import sys
import unittest

from stack import ROOT

sys.path.insert(0, str(ROOT / "test/balancer"))

import chaos  # noqa: E402


class BalancerChaosTest(unittest.TestCase):
    def test_no_request_fails(self):
        seed = random.randrange(1 << 30)
        counts, account, failures = chaos.run(rounds=1, requests=0, frozen_seconds=4, seed=seed)
        self.assertEqual(failures, [], f"seed {seed}: {account}")
        for name, count in counts.items():
            self.assertGreater(count, 10, name)


if __name__ == "__main__":
    unittest.main()
