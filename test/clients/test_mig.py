"""tepal mig as processes on the simulated libnvidia-ml.so.1: what a person and a script see, and what is left when it is killed."""
import json
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import unittest

from stack import BUILD

LIBRARY = BUILD / "lib/nvml_sim"
SECONDS_MAX = 60
SEQUENCES = int(os.environ.get("TEPAL_MIG_PROCESS_SEQUENCES", "12"))  # The whole: 100.
FIRST_SEED = int(os.environ.get("TEPAL_MIG_SEED", "0"))
CALLS = ("nvmlDeviceSetMigMode nvmlDeviceCreateGpuInstanceWithPlacement nvmlGpuInstanceDestroy nvmlGpuInstanceCreateComputeInstance "
         "nvmlComputeInstanceDestroy nvmlDeviceGetGpuInstances").split()
CONFIGS = """version: v1
mig-configs:
  off: [{devices: all, mig-enabled: false}]
  seven: [{devices: all, mig-enabled: true, mig-devices: {"1g.5gb": 7}}]
  balanced: [{devices: all, mig-enabled: true, mig-devices: {"1g.5gb": 2, "2g.10gb": 1, "3g.20gb": 1}}]
  halves: [{devices: all, mig-enabled: true, mig-devices: {"3g.20gb": 2}}]
  shared: [{devices: all, mig-enabled: true, mig-devices: {"1c.4g.20gb": 4, "2g.10gb": 1}}]
  mixed:
  - {devices: [0], mig-enabled: true, mig-devices: {"1g.5gb": 7}}
  - {devices: [1], mig-enabled: false}
"""


class Machine:
    """A machine of its own and what is done on it."""

    def __init__(self, gpus="2xA100-40"):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)
        self.config = self.folder / "config.yaml"
        self.config.write_text(CONFIGS)
        self.environment = {**os.environ, "LD_LIBRARY_PATH": str(LIBRARY), "NVML_SIM_ROOT": "1", "NVML_SIM_GPUS": gpus,
                            "NVML_SIM_STATE": str(self.folder / "machine"), "TEPAL_MIG_STATE_FILE": str(self.folder / "state.json"),
                            "PATH": f"{LIBRARY}:{os.environ['PATH']}"}

    def run(self, *words, input=None, **more):
        return subprocess.run([str(word) for word in words], env={**self.environment, **more}, text=True, capture_output=True, input=input,
                              timeout=SECONDS_MAX)

    def mig(self, *words, **more):
        return self.run(BUILD / "bin/tepal", "mig", *words, **more)

    def apply(self, name, *words, **more):
        return self.mig("apply", "-f", self.config, "-c", name, *words, **more)

    def happens(self, *words):
        return self.run(BUILD / "bin/nvml-sim", *words).returncode == 0

    def devices(self):
        """(GPU, GI, CI, UUID, processes) of every MIG device."""
        gpus = json.loads(self.mig("list", "--json").stdout)["gpus"]
        return [(gpu["index"], instance["id"], compute["id"], compute["uuid"], len(compute["processes"]))
                for gpu in gpus for instance in gpu["gpu_instances"] for compute in instance["compute_instances"]]

    def busy(self):
        """UUIDs of MIG devices that processes are on, seen from outside the library."""
        uuids, used, gpu, instance = {}, set(), 0, 0
        for line in self.run(BUILD / "bin/nvml-sim", "show").stdout.split("\n"):
            words = line.replace(":", "").replace(",", "").split()
            if line.startswith("GPU "):
                gpu = words[1]
            elif words[:1] == ["GI"]:
                instance = words[1]
            elif words[:1] == ["CI"]:
                uuids[gpu, instance, words[1]] = words[-1]
            elif words[:1] == ["process"]:
                used.add((words[3], words[5], words[7]))
        return {uuids[place] for place in used}


@unittest.skipUnless((LIBRARY / "libnvidia-ml.so.1").exists(), "the simulator is not built")
class MigTest(unittest.TestCase):
    def machine(self, gpus="2xA100-40"):
        machine = Machine(gpus)
        self.addCleanup(machine.temporary.cleanup)
        return machine

    def test_apply_assert_export_and_back(self):
        machine = self.machine()
        self.assertEqual(machine.mig("assert", "-f", machine.config, "-c", "balanced").returncode, 1)
        first = machine.apply("balanced")
        self.assertEqual((first.returncode, first.stdout.split("\n")[-2]), (0, "MIG configuration applied successfully"))
        self.assertIn("GPU 1: create 3g.20gb at 4 with 3g.20gb\n", first.stdout)
        before = machine.devices()
        self.assertEqual(machine.apply("balanced").stdout, "MIG configuration applied successfully\n")
        self.assertEqual(machine.devices(), before)
        self.assertEqual(machine.mig("assert", "-f", machine.config, "-c", "balanced").stdout,
                         "Selected MIG configuration currently applied\n")
        for words in (["-o", "yaml"], ["-o", "json"], ["-o=json", "-l", "x"]):
            exported = machine.mig("export", *words)
            self.assertEqual(machine.mig("assert", "-f", "-", input=exported.stdout).returncode, 0, exported)
        self.assertEqual(machine.mig("checkpoint", "-f", machine.folder / "checkpoint").returncode, 0)
        self.assertEqual(machine.apply("off").returncode, 0)
        self.assertEqual(machine.mig("restore", "-f", machine.folder / "checkpoint").returncode, 0)
        self.assertEqual([device[:3] for device in machine.devices()], [device[:3] for device in before])

    def test_words_of_the_other_program(self):
        machine = self.machine()
        link = machine.folder / "nvidia-mig-parted"
        link.symlink_to(BUILD / "bin/tepal")
        variables = {"MIG_PARTED_CONFIG_FILE": str(machine.config), "MIG_PARTED_SELECTED_CONFIG": "halves"}
        self.assertEqual(machine.run(link, "-d", "apply", "-ms", **variables).returncode, 0)
        self.assertEqual(machine.devices(), [])
        self.assertEqual(machine.run(link, "assert", "-m", **variables).returncode, 0)
        self.assertEqual(machine.run(link, "apply", **variables).returncode, 0)
        self.assertEqual(machine.run(link, "assert", **variables).returncode, 0)
        self.assertEqual(machine.run(link, "assert", "-a", MIG_PARTED_SKIP_RESET="maybe", **variables).returncode, 0)
        wrong = machine.run(link, "apply", MIG_PARTED_SKIP_RESET="maybe", **variables)
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("--skip-reset", wrong.stderr)
        generated = machine.run(link, "generate-config", "-o", machine.folder / "generated")
        self.assertEqual((generated.returncode, generated.stdout), (0, ""))
        self.assertEqual(machine.run(link, "assert", "-f", machine.folder / "generated", "-c", "all-3g.20gb").returncode, 0)

    def test_refuses_and_names_who_is_in_the_way(self):
        machine = self.machine()
        machine.apply("halves")
        uuid = machine.devices()[3][3]
        self.assertTrue(machine.happens("run", "4000001", "1", "2", "0", "100"))
        before = machine.devices()
        refused = machine.apply("seven")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("GPU 1: instance 2 (3g.20gb at 4) in use", refused.stderr)
        self.assertIn(f"process 4000001 runs on {uuid}", refused.stderr)
        self.assertEqual(machine.devices(), before)
        plan = machine.mig("plan", "-f", machine.config, "-c", "seven", "--json")
        self.assertEqual((plan.returncode, [gpu["blocked"] for gpu in json.loads(plan.stdout)["gpus"]]), (1, [False, True]))
        self.assertEqual(machine.apply("balanced").returncode, 0)  # The half in use serves there too.
        self.assertIn(uuid, [device[3] for device in machine.devices()])
        self.assertIn("only root may", machine.apply("off", NVML_SIM_ROOT="0").stderr)
        self.assertIn(uuid, machine.mig("list", NVML_SIM_ROOT="0").stdout)

    def test_goes_on_after_a_kill_a_reboot_and_a_hand(self):
        machine = self.machine("A100-40,H200")
        machine.config.write_text(CONFIGS + '  wide: [{devices: [0], mig-enabled: true, mig-devices: {"1g.5gb": 7}},'
                                  ' {devices: [1], mig-enabled: true, mig-devices: {"3g.71gb": 2}}]\n')
        self.assertTrue(machine.happens("fault", "nvmlDeviceCreateGpuInstanceWithPlacement", "-9", "1", "3"))
        self.assertEqual(machine.apply("wide").returncode, -signal.SIGKILL)
        self.assertIn("wide, not finished", machine.mig("list").stdout)
        self.assertEqual(machine.mig("apply").returncode, 0)
        self.assertEqual(machine.mig("assert", "-f", machine.config, "-c", "wide").returncode, 0)
        self.assertTrue(machine.happens("reboot"))
        listed = machine.mig("list").stdout
        self.assertIn("the GPUs are not as it wanted", listed)
        self.assertIn("GPU 1: enable MIG mode", listed)
        self.assertEqual(machine.mig("apply").returncode, 0)
        self.assertIn("the GPUs are as it wanted", machine.mig("list").stdout)
        self.assertEqual(machine.mig("plan").stdout.count("as wanted"), 2)
        self.assertEqual(machine.mig("restore").returncode, 0)  # To before the last change: after the reboot.
        self.assertEqual(machine.devices(), [])

    def test_waits_for_what_cannot_be_reset(self):
        machine = self.machine()
        machine.happens("passthrough", "1", "1")
        waits = machine.apply("mixed")
        self.assertEqual(waits.returncode, 0)
        waits = machine.apply("halves")
        self.assertEqual(waits.returncode, 3)
        self.assertIn("GPU 1: the MIG mode is set and waits for a reset or a reboot", waits.stdout)
        machine.happens("reboot")
        self.assertEqual(machine.mig("apply").returncode, 0)
        machine.happens("hold", "0", "1")
        held = machine.apply("off")
        self.assertEqual(held.returncode, 1)
        self.assertIn("somebody who has the GPU open", held.stderr)
        machine.happens("hold", "0", "0")
        self.assertEqual(machine.apply("off").returncode, 3)  # GPU 0 by nvidia-smi; GPU 1 has to wait.
        self.assertEqual(machine.mig("assert", "-f", "-", input="version: v1\nmig-configs: {a: [{devices: [0], mig-enabled: false}]}").returncode, 1)

    def test_hooks_see_the_flags_and_nothing_else(self):
        machine = self.machine()
        hooks = machine.folder / "hooks.yaml"
        log = machine.folder / "log"
        points = "".join(f"  {point}: [{{command: /bin/sh, workdir: {machine.folder}, envs: {{POINT: {point}}}, "
                         f"args: [-c, 'echo $POINT $MIG_PARTED_SELECTED_CONFIG $MIG_PARTED_SKIP_RESET ${{HOME-none}} >> log']}}]\n"
                         for point in ("apply-start", "pre-apply-mode", "pre-apply-config", "apply-exit"))
        hooks.write_text("version: v1\nhooks:\n" + points)
        for _ in range(2):
            self.assertEqual(machine.apply("seven", "-k", hooks).returncode, 0)
        rest = " seven false none\n"
        self.assertEqual(log.read_text(), "".join(point + rest for point in (
            "apply-start", "pre-apply-mode", "pre-apply-config", "apply-exit", "apply-start", "apply-exit")))
        hooks.write_text("version: v1\nhooks: {apply-start: [{command: 'false'}]}\n")
        failed = machine.apply("off", "-k", hooks)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("hook apply-start: ", failed.stderr)

    def test_says_what_is_wrong_with_the_input(self):
        machine = self.machine()
        for words, text in ((["apply"], "--config-file"), (["apply", "-f", machine.config], "which configuration?"),
                            (["apply", "-f", machine.config, "-c", "no"], "no configuration 'no'"), (["dance"], "unknown subcommand"),
                            (["export", "-o", "xml"], "expected yaml or json"), (["apply", "--frobnicate"], "unknown flag"),
                            (["checkpoint"], "--checkpoint-file"), (["restore"], "no earlier apply")):
            said = machine.mig(*words)
            self.assertIn(said.returncode, (1, 2), words)
            self.assertIn(text, said.stderr, words)
        machine.config.write_text(CONFIGS + "  typo: [{devices: all, mig-enabld: true}]\n")
        self.assertIn("config.yaml:11: unknown field", machine.apply("off").stderr)
        nowhere = machine.mig("list", LD_LIBRARY_PATH="")
        self.assertEqual(nowhere.returncode, 1)
        self.assertIn("no NVIDIA driver: libnvidia-ml.so.1", nowhere.stderr)

    def test_random_lives_with_faults_and_kills(self):
        for seed in range(FIRST_SEED, FIRST_SEED + SEQUENCES):
            with self.subTest(f"TEPAL_MIG_SEED={seed} TEPAL_MIG_PROCESS_SEQUENCES=1"):
                self.life(random.Random(seed))

    def life(self, chance):
        machine = Machine()
        names = [line.split(":")[0].strip() for line in CONFIGS.split("\n")[2:] if line.startswith("  ") and line[2].isalpha()]
        wanted = None
        for _ in range(4):
            machine.happens("calm")
            for _ in range(chance.randrange(3)):
                self.happen(machine, chance)
            if chance.random() < 0.7:
                machine.happens("fault", chance.choice(CALLS), chance.choice(["-9", "-9", "999", "19", "23"]), chance.choice("12"),
                                str(chance.randrange(6)))
            busy = machine.busy()
            wanted = chance.choice(names)
            done = machine.apply(wanted)
            self.assertIn(done.returncode, (0, 1, -signal.SIGKILL), done)
            self.assertTrue(machine.happens("check"))
            self.assertEqual(machine.busy(), busy)
        for index in range(40):
            machine.happens("stop", str(4000000 + index))
        for _ in range(8):  # Faults that are left over are used up.
            done = machine.apply(wanted)
            if done.returncode == 0:
                break
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(machine.mig("assert", "-f", machine.config, "-c", wanted).returncode, 0)
        self.assertTrue(machine.happens("check"))
        machine.temporary.cleanup()

    @staticmethod
    def happen(machine, chance):
        devices = machine.devices()
        what = chance.random()
        if what < 0.1:
            machine.happens("reboot")
        elif what < 0.3:
            machine.happens("stop", str(4000000 + chance.randrange(40)))
        elif devices:
            gpu, instance, compute = chance.choice(devices)[:3]
            machine.happens("run", str(4000000 + chance.randrange(40)), str(gpu), str(instance), str(compute), "100")


if __name__ == "__main__":
    unittest.main()
