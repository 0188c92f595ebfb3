"""`tepal up` on GPUs: one server a MIG device or GPU, on the simulated libnvidia-ml.so.1, which every process here shares."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from stack import BUILD, TEPAL
from test_up import Load, Up, alive

LIBRARY = BUILD / "lib/nvml_sim"
SECONDS_MAX = 60
FILE = """models: {{repository: models}}
balancer: {{listen: 127.0.0.1:{clients}, admin: 127.0.0.1:{admin}}}
slots: {{source: auto}}
autoscaler:
  metrics: {{in_flight: {{target: 1, window: 1s}}}}
  behavior:
    scaleUp: {{policies: [{{type: Percent, value: 900, periodSeconds: 1}}]}}
    scaleDown: {{stabilizationWindowSeconds: 2, policies: [{{type: Percent, value: 100, periodSeconds: 1}}]}}
"""
# Half a second a request, one at a time: a client keeps one server busy.
SLOW = """backend: "delay"
input [{ name: "INPUT0" data_type: TYPE_FP32 dims: [ 1, 4 ] }]
output [{ name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 1, 4 ] }]
instance_group { kind: KIND_CPU count: 1 }
parameters { key: "sleep_ms" value: { string_value: "500" } }
"""
SEVENTHS = """version: v1
mig-configs:
  sevenths:
  - {devices: all, mig-enabled: false}
  - {devices: GPUS, mig-enabled: true, mig-devices: {"1g.5gb": 7}}
"""
# start of the instance, UUID of its device
LIST = """
for g in range(nvmlDeviceGetCount()):
    d = nvmlDeviceGetHandleByIndex(g)
    if not nvmlDeviceGetMigMode(d)[0]:
        print(g, -1, nvmlDeviceGetUUID(d))
        continue
    for i in range(nvmlDeviceGetMaxMigDeviceCount(d)):
        try:
            m = nvmlDeviceGetMigDeviceHandleByIndex(d, i)
        except NVMLError_NotFound:
            continue
        info = nvmlGpuInstanceGetInfo(nvmlDeviceGetGpuInstanceById(d, nvmlDeviceGetGpuInstanceId(m)))
        print(g, info.placement.start, nvmlDeviceGetUUID(m))
"""


@unittest.skipUnless((LIBRARY / "libnvidia-ml.so.1").exists(), "the simulator is not built")
class UpOnGpusTest(unittest.TestCase):
    def machine(self, gpus):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.layout = pathlib.Path(folder.name) / "layout.yaml"
        self.environment = {**os.environ, "LD_LIBRARY_PATH": str(LIBRARY), "NVML_SIM_ROOT": "1", "NVML_SIM_GPUS": gpus,
                            "NVML_SIM_STATE": str(pathlib.Path(folder.name) / "machine"),
                            "TEPAL_MIG_STATE_FILE": str(pathlib.Path(folder.name) / "state.json")}

    def nvml(self, code):
        """What another process sees and does."""
        done = subprocess.run([sys.executable, "-c", "from pynvml import *\nnvmlInit()\n" + code], env=self.environment,
                              text=True, capture_output=True, timeout=SECONDS_MAX)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def cut(self, gpus):
        self.layout.write_text(SEVENTHS.replace("GPUS", str(list(gpus))))
        self.apply("-f", str(self.layout))

    def apply(self, *words):
        done = subprocess.run([str(TEPAL), "mig", "apply", *words], env=self.environment, text=True, capture_output=True,
                              timeout=SECONDS_MAX)
        self.assertEqual(done.returncode, 0, done.stderr)

    def devices(self):
        """(GPU, start) of each device by UUID; a GPU that is not cut starts at -1."""
        rows = [line.split() for line in self.nvml(LIST).splitlines()]
        return {uuid: (int(gpu), int(start)) for gpu, start, uuid in rows}

    def up(self, clients):
        up = Up(config=SLOW, file=FILE, environment=self.environment)
        self.addCleanup(up.close)
        up.wait(lambda s: s["replicas"]["ready"] > 0, "the first replica")
        self.load = Load(up.port, clients)
        return up

    def visible(self, state):
        """CUDA_VISIBLE_DEVICES of each replica that is ready, from its own environment."""
        found = []
        for slot in state["slots"]:
            if slot["state"] == "ready":
                variables = pathlib.Path(f"/proc/{slot['pid']}/environ").read_text().split("\0")
                found += [v.split("=", 1)[1] for v in variables if v.startswith("CUDA_VISIBLE_DEVICES=")]
        return found

    def finish(self, up):
        self.load.stop()
        self.assertEqual(self.load.failures, [])
        self.assertGreater(self.load.answers, 0)
        self.assertEqual(up.stop(), 0, up.said())
        self.assertEqual([pid for pid in up.pids if alive(pid)], [])

    def test_the_mixed_layout_of_the_recipe(self):
        self.machine("2xA100-40")
        self.cut([0])
        up = self.up(clients=8)
        state = up.wait_ready(8)
        self.assertCountEqual(self.visible(state), self.devices())
        self.assertEqual(sum(device.startswith("MIG-") for device in self.visible(state)), 7)
        up.wait(lambda s: all(slot["requests"] > 0 for slot in s["slots"]), "a request for every slot")
        self.finish(up)

    def test_a_scale_down_frees_room_for_a_3g_which_becomes_a_slot(self):
        self.machine("A100-40")
        self.cut([0])
        up = self.up(clients=4)
        more = Load(up.port, 3)
        up.wait_ready(7)
        more.stop()
        self.assertEqual(more.failures, [])
        up.wait_ready(4)
        state = up.wait(lambda s: s["replicas"]["free"] == 60, "the end of three replicas")
        devices, held = self.devices(), self.visible(state)
        self.assertEqual(sorted(devices[uuid][1] for uuid in held), [0, 1, 2, 3])
        pids = {slot["pid"] for slot in state["slots"] if "pid" in slot}
        # Somebody else takes what was freed: three 1g go, a 3g comes.
        self.nvml("""
d = nvmlDeviceGetHandleByIndex(0)
count = c_uint(8)
array = (c_nvmlGpuInstance_t * 8)()
nvmlDeviceGetGpuInstances(d, 19, array, byref(count))
for g in array[:count.value]:
    if nvmlGpuInstanceGetInfo(g).placement.start >= 4:
        compute = (c_nvmlComputeInstance_t * 8)()
        made = c_uint(8)
        nvmlGpuInstanceGetComputeInstances(g, 0, compute, byref(made))
        for c in compute[:made.value]:
            nvmlComputeInstanceDestroy(c)
        nvmlGpuInstanceDestroy(g)
nvmlGpuInstanceCreateComputeInstance(nvmlDeviceCreateGpuInstance(d, 9), 2)
""")
        state = up.wait(lambda s: len(s["slots"]) == 5, "the new slots")
        self.assertEqual({slot["pid"] for slot in state["slots"] if "pid" in slot}, pids, "who stayed was disturbed")
        more = Load(up.port, 1)
        state = up.wait_ready(5)
        self.assertCountEqual(self.visible(state), self.devices())
        more.stop()
        self.assertEqual(more.failures, [])
        self.finish(up)

    def test_a_reboot_in_the_middle(self):
        self.machine("2xA100-40")
        self.cut([0, 1])
        up = self.up(clients=14)
        before = self.visible(up.wait_ready(14))
        self.assertCountEqual(before, self.devices())
        subprocess.run([BUILD / "bin/nvml-sim", "reboot"], env=self.environment, check=True, timeout=SECONDS_MAX)
        up.wait(lambda s: s["replicas"]["ready"] == 0 and s["slots"] == [], "the end of every slot")
        self.apply()  # The last one again, as the unit does that runs at every start.
        up.wait(lambda s: s["replicas"]["ready"] == 14, "14 replicas on new devices")
        after = self.visible(up.latest)
        self.assertCountEqual(after, self.devices())
        self.assertEqual(set(before) & set(after), set())
        self.finish(up)

    def test_a_dgx_of_56_slots(self):
        self.machine("8xA100-40")
        self.cut(range(8))
        up = self.up(clients=14)
        more = Load(up.port, 42)
        state = up.wait_ready(56)
        self.assertCountEqual(self.visible(state), self.devices())
        more.stop()
        self.assertEqual(more.failures, [])
        state = up.wait(lambda s: s["desired"] <= 16 and s["replicas"]["ready"] == s["desired"] == 64 - s["replicas"]["free"],
                        "the end of all but some 14")
        devices, held = self.devices(), self.visible(state)
        self.assertLessEqual(len({devices[uuid][0] for uuid in held}), -(-len(held) // 7), "not packed:\n" + up.said())
        self.finish(up)


if __name__ == "__main__":
    unittest.main()
