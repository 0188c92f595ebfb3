"""A short form of test/balancer/chaos.py: each thing that can happen to a server, once, under load."""
import random
import subprocess
import sys
import unittest

from stack import ROOT

sys.path.insert(0, str(ROOT / "test/balancer"))

import chaos  # noqa: E402


def setUpModule():
    subprocess.run([ROOT / "test/clients/go/build.sh"], check=True)


class BalancerChaosTest(unittest.TestCase):
    def test_no_request_fails(self):
        seed = random.randrange(1 << 30)
        counts, account, failures = chaos.run(rounds=1, requests=0, frozen_seconds=4, seed=seed)
        self.assertEqual(failures, [], f"seed {seed}: {account}")
        for name in ("wrk", "tritonclient HTTP", "tritonclient gRPC", "turns", "grpc-go unary", "grpc-go streams"):
            self.assertGreater(counts[name], 10, name)


if __name__ == "__main__":
    unittest.main()
