"""`tepal mig advise` on the simulated libnvidia-ml.so.1: measured by `tepal bench`, advised, applied, and then as wanted."""
import csv
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from server import Server
from stack import ADD_SUB, BUILD, TEPAL

LIBRARY = BUILD / "lib/nvml_sim"
SECONDS_MAX = 60
TABLE = """model,profile,concurrency,throughput_per_s,p99_ms
resnet50,1g.5gb,4,100,40
resnet50,3g.20gb,8,320,30
bert,1g.5gb,1,8,120
bert,3g.20gb,4,40,60
bert,4g.20gb,4,55,45
"""
WANTED = """models:
- {model: resnet50, traffic_per_s: 500, p99_ms: 50}
- {model: bert, traffic_per_s: 70, p99_ms: 80}
"""


@unittest.skipUnless((LIBRARY / "libnvidia-ml.so.1").exists(), "the simulator is not built")
class MigAdviseTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "table.csv").write_text(TABLE)
        (self.folder / "wanted.yaml").write_text(WANTED)
        self.environment = {**os.environ, "LD_LIBRARY_PATH": str(LIBRARY), "NVML_SIM_ROOT": "1", "NVML_SIM_GPUS": "3xA100-40",
                            "NVML_SIM_STATE": str(self.folder / "machine"), "TEPAL_MIG_STATE_FILE": str(self.folder / "state.json")}

    def mig(self, *words):
        done = subprocess.run([str(TEPAL), "mig", *words], cwd=self.folder, env=self.environment, capture_output=True, text=True,
                              timeout=SECONDS_MAX)
        return done.returncode, done.stdout, done.stderr

    def advise(self, *words):
        return self.mig("advise", "--measurements", "table.csv", "--wanted", "wanted.yaml", *words)

    def test_advised_applied_and_then_as_wanted(self):
        code, text, errors = self.advise("--write-config", "advised.yaml")
        self.assertEqual(code, 0, errors)
        self.assertIn("2 NVIDIA A100-SXM4-40GB GPUs; fewer cannot do it", text)
        code, _, errors = self.mig("apply", "-f", "advised.yaml")
        self.assertEqual(code, 0, errors)
        code, text, errors = self.advise("--json")
        self.assertEqual(code, 0, errors)
        answer = json.loads(text)
        self.assertEqual((answer["gpus_needed"], answer["lower_bound"]), (2, 2))
        self.assertEqual([gpu["steps"] for gpu in answer["gpus"]], [[], []])
        served = {"resnet50": 0, "bert": 0}
        for gpu in answer["gpus"]:
            for replica in gpu["replicas"]:
                served[replica["model"]] += replica["throughput_per_s"]
        self.assertGreaterEqual(served["resnet50"], 500)
        self.assertGreaterEqual(served["bert"], 70)

    def test_says_what_blocks_it(self):
        (self.folder / "layout.yaml").write_text(
            'version: v1\nmig-configs:\n  a:\n  - {devices: all, mig-enabled: true, mig-devices: {"7g.40gb": 1}}\n')
        self.assertEqual(self.mig("apply", "-f", "layout.yaml")[0], 0)
        for gpu in range(3):
            subprocess.run([BUILD / "bin/nvml-sim", "run", str(4000 + gpu), str(gpu), "0", "0", "512"], env=self.environment,
                           check=True, timeout=SECONDS_MAX)
        code, text, _ = self.advise()
        self.assertEqual(code, 1)
        self.assertIn("blocked", text)
        self.assertIn("400", text)

    def test_for_gpus_that_are_not_here(self):
        code, text, errors = self.advise("--gpus", "A100-40")
        self.assertEqual(code, 0, errors)
        self.assertIn("2 NVIDIA A100-SXM4-40GB GPUs", text)
        code, _, errors = self.advise("--gpus", "1xA100-40")
        self.assertEqual(code, 1)
        self.assertIn("2 GPUs are needed, 1 are there", errors)
        code, _, errors = self.advise("--gpus", "9xA999")
        self.assertEqual(code, 2)
        self.assertIn("--gpus: got '9xA999', expected a model", errors)

    def test_names_field_value_and_what_was_expected(self):
        (self.folder / "wanted.yaml").write_text("models:\n- {model: bert, traffic_per_s: 1, p99_ms: 20}\n")
        code, _, errors = self.advise()
        self.assertEqual(code, 2)
        self.assertIn("wanted.yaml: field 'models[0].p99_ms': got 20, expected at least 45", errors)

    def test_bench_writes_the_table(self):
        server = Server(models={"add_sub": ADD_SUB})
        table = self.folder / "measured.csv"
        bench = [str(TEPAL), "bench", "--model=add_sub", f"--url={server.http}", "--duration=300ms", f"--measurements={table}"]
        for profile in ("1g.5gb", "2g.10gb"):
            done = subprocess.run([*bench, "--concurrency=1,4", f"--profile={profile}"], capture_output=True, text=True,
                                  timeout=SECONDS_MAX)
            self.assertEqual(done.returncode, 0, done.stderr)
        done = subprocess.run(bench, capture_output=True, text=True, timeout=SECONDS_MAX)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--profile", done.stderr)
        self.assertEqual(server.stop(), 0)
        rows = list(csv.DictReader(table.read_text().splitlines()))
        self.assertEqual([(r["model"], r["profile"], r["concurrency"]) for r in rows],
                         [("add_sub", p, c) for p in ("1g.5gb", "2g.10gb") for c in "14"])
        self.assertTrue(all(float(r["throughput_per_s"]) > 0 and float(r["p99_ms"]) > 0 for r in rows))
        (self.folder / "wanted.yaml").write_text("models:\n- {model: add_sub, traffic_per_s: 50, p99_ms: 5000}\n")
        code, text, errors = self.mig("advise", "--measurements", "measured.csv", "--wanted", "wanted.yaml")
        self.assertEqual(code, 0, errors)
        self.assertIn("add_sub: 50/s within 5000 ms wants 1 x 1g.5gb", text)


if __name__ == "__main__":
    unittest.main()
