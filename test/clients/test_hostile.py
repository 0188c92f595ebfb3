"""test/balancer/hostile.py: clients and endpoints that break the rules."""
import sys
import unittest

from stack import ROOT

sys.path.insert(0, str(ROOT / "test/balancer"))

import hostile  # noqa: E402


class HostileTest(unittest.TestCase):
    def test_nobody_else_notices(self):
        count, failures = hostile.run()
        self.assertEqual(failures, {})
        self.assertGreater(count, 70)


if __name__ == "__main__":
    unittest.main()
