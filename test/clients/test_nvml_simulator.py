"""pynvml, NVIDIA's own binding, on the simulated libnvidia-ml.so.1: each step in a process of its own, on one machine."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from stack import BUILD

LIBRARY = BUILD / "lib/nvml_sim"
SECONDS_MAX = 30
PRELUDE = "from pynvml import *\nimport ctypes\nnvmlInit()\nd = nvmlDeviceGetHandleByIndex(0)\n"


@unittest.skipUnless((LIBRARY / "libnvidia-ml.so.1").exists(), "the simulator is not built")
class NvmlSimulatorTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.environment = {**os.environ, "LD_LIBRARY_PATH": str(LIBRARY), "NVML_SIM_ROOT": "1", "NVML_SIM_GPUS": "8xA100-40",
                            "NVML_SIM_STATE": str(pathlib.Path(self.folder.name) / "machine")}

    def python(self, code, **more):
        done = subprocess.run([sys.executable, "-c", PRELUDE + code], env={**self.environment, **more}, text=True,
                              capture_output=True, timeout=SECONDS_MAX)
        return done.stdout.strip() or done.stderr.strip().split("\n")[-1], done.returncode

    def happens(self, *words):
        subprocess.run([BUILD / "bin/nvml-sim", *words], env=self.environment, check=True, timeout=SECONDS_MAX)

    def partition(self):
        return self.python("""
assert nvmlDeviceSetMigMode(d, 1) == 0
for driver_id, compute in ((19, 0), (14, 1), (5, 3)):
    nvmlGpuInstanceCreateComputeInstance(nvmlDeviceCreateGpuInstance(d, driver_id), compute)
print([nvmlDeviceGetUUID(nvmlDeviceGetMigDeviceHandleByIndex(d, i)) for i in range(3)])""")[0]

    def test_partitions_outlive_the_process_and_not_the_reboot(self):
        uuids = self.partition()
        again = "print([nvmlDeviceGetUUID(nvmlDeviceGetMigDeviceHandleByIndex(d, i)) for i in range(3)])"
        self.assertEqual(self.python(again)[0], uuids)
        self.assertEqual(self.python("""
m = nvmlDeviceGetMigDeviceHandleByIndex(d, 0)
a = nvmlDeviceGetAttributes_v2(m)
i = nvmlGpuInstanceGetInfo(nvmlDeviceGetGpuInstanceById(d, nvmlDeviceGetGpuInstanceId(m)))
print(nvmlDeviceGetCount(), nvmlDeviceGetName(m), i.id, i.profileId, i.placement.start, i.placement.size, a.multiprocessorCount,
      a.memorySizeMB, nvmlDeviceGetMemoryInfo(m).total >> 20, nvmlDeviceIsMigDeviceHandle(m).value)""")[0],
                         "8 NVIDIA A100-SXM4-40GB MIG 4g.20gb 1 5 0 4 56 19968 19968 1")
        self.happens("reboot")
        self.assertEqual(self.python("print(nvmlDeviceGetMigMode(d))")[0], "[1, 1]")  # Ampere remembers its mode.
        self.assertIn("Not Found", self.python(again)[0])
        self.assertNotEqual(self.partition(), uuids)

    def test_what_is_in_use_cannot_be_destroyed(self):
        self.partition()
        self.happens("run", "77", "0", "1", "0", "512")
        self.assertEqual(self.python("""
p, = nvmlDeviceGetComputeRunningProcesses_v3(d)
print(p.pid, p.gpuInstanceId, p.usedGpuMemory >> 20)""")[0], "77 1 512")
        destroy = "g = nvmlDeviceGetGpuInstanceById(d, 1)\nnvmlComputeInstanceDestroy(nvmlGpuInstanceGetComputeInstanceById(g, 0))\n"
        self.assertIn("NVMLError_InUse", self.python(destroy)[0])
        self.happens("stop", "77")
        self.assertIn("NVMLError_InUse", self.python("nvmlGpuInstanceDestroy(nvmlDeviceGetGpuInstanceById(d, 1))")[0])
        self.assertEqual(self.python(destroy + "nvmlGpuInstanceDestroy(g)"), ("", 0))

    def test_permissions_faults_and_events(self):
        self.assertIn("NVMLError_NoPermission", self.python("nvmlDeviceSetMigMode(d, 1)", NVML_SIM_ROOT="0")[0])
        self.happens("fault", "nvmlDeviceSetMigMode", "15", "1")
        self.assertIn("NVMLError_GpuIsLost", self.python("nvmlDeviceSetMigMode(d, 1)")[0])
        self.happens("fault", "nvmlDeviceCreateGpuInstance", "-9", "1", "1")  # Killed at the second.
        self.assertEqual(self.python("nvmlDeviceSetMigMode(d, 1)\nfor i in range(2): nvmlDeviceCreateGpuInstance(d, 19)")[1], -9)
        self.assertEqual(self.python("print(nvmlDeviceGetGpuInstanceRemainingCapacity(d, 19))")[0], "6")
        self.assertEqual(self.python("""
s = nvmlEventSetCreate()
nvmlDeviceRegisterEvents(d, nvmlEventTypeXidCriticalError, s)
assert ctypes.CDLL("libnvidia-ml.so.1").nvml_sim_control(b"xid 0 13 0 48") == 0
e = nvmlEventSetWait_v2(s, 1000)
print(e.eventData, e.gpuInstanceId)""")[0], "48 13")


if __name__ == "__main__":
    unittest.main()
