"""`tepal bench` and `tepal infer` against `tepal serve`: both protocols, streams, shared memory, what they report."""
import json
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

from certificates import Authority
from server import Server
from stack import ADD_SUB, ROOT, TEPAL

WAYS = {
    "http": [],
    "json": ["--tensors", "json"],
    "grpc": ["--protocol", "grpc"],
    "stream": ["--protocol", "grpc", "--streaming"],
}
server = None


def setUpModule():
    global server
    server = Server("--allow-client-shm=true", f"--model-repository={ROOT}/examples/flower/models", models={"add_sub": ADD_SUB})


def tearDownModule():
    code = server.stop()
    assert code == 0, f"the server ended with {code}"


def url(way):
    return server.grpc if "grpc" in way else server.http


def run(command, *arguments):
    return subprocess.run([str(TEPAL), command, *arguments], capture_output=True, text=True, timeout=120)


def shared_memory_files():
    return {name for name in os.listdir("/dev/shm") if name.startswith("tepal_")}


class Bench(unittest.TestCase):
    def bench(self, way, *more):
        report = pathlib.Path(server.folder.name) / "report.json"
        ended = run("bench", "--model=add_sub", f"--url={url(way)}", "--duration=500ms", "--input-data=random", "--verify",
                    f"--json={report}", *way, *more)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)
        return json.loads(report.read_text()), ended.stdout

    def test_every_way_answers(self):
        for name, way in WAYS.items():
            for memory in ("none", "system"):
                if name == "json" and memory == "system":
                    continue
                with self.subTest(way=name, memory=memory):
                    report, _ = self.bench(way, f"--shared-memory={memory}", "--concurrency=1,5", f"--server-pid={server.process.pid}")
                    self.assertEqual(report["failed"], 0)
                    self.assertEqual([phase["concurrency"] for phase in report["phases"]], [1, 5])
                    for phase, cost in zip(report["phases"], report["costs_per_request"]):
                        self.assertGreater(phase["succeeded"], 10)
                        self.assertGreaterEqual(cost["server_cpu_us"], 0)
                        self.assertGreaterEqual(cost["rows_per_execution"], 1)
        self.assertEqual(shared_memory_files(), set())

    def test_open_loop_and_connections(self):
        report, _ = self.bench(WAYS["grpc"], "--rate=100")
        self.assertGreater(report["succeeded"], 20)
        report, table = self.bench(WAYS["grpc"], "--connections=2", "--streams=3")
        self.assertEqual(report["phases"][0]["concurrency"], 6)
        self.assertIn("6 clients", table)
        report, _ = self.bench(WAYS["stream"], "--connections=2", "--streams=2", "--concurrency=8", "--batch-size=2")
        self.assertGreaterEqual(report["costs_per_request"][0]["rows_per_execution"], 2)

    def test_data_from_a_folder(self):
        data = pathlib.Path(server.folder.name) / "data"
        data.mkdir()
        for name in ("INPUT0", "INPUT1"):
            (data / name).write_bytes(b"\0\0\x80\x3f" * 16)
        self.assertEqual(self.bench(WAYS["grpc"], f"--input-data={data}")[0]["failed"], 0)
        (data / "INPUT1").write_bytes(b"short")
        ended = run("bench", "--model=add_sub", f"--url={url([])}", f"--input-data={data}")
        self.assertEqual(ended.returncode, 2)
        self.assertIn("got 5 bytes, expected 64", ended.stderr)

    def test_the_last_shape_counts(self):
        ended = run("bench", "--model=add_sub", f"--url={url([])}", "--duration=200ms", "--shape=INPUT0:1,17", "--shape=INPUT0:1,16")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        ended = run("bench", "--model=add_sub", f"--url={url([])}", "--duration=200ms", "--shape=INPUT0:1,17")
        self.assertEqual(ended.returncode, 2)
        self.assertIn("input 'INPUT0' cannot have shape [1,17]; the model declares [-1,16]", ended.stderr)

    def test_failures_are_counted(self):
        ended = run("bench", "--model=add_sub", f"--url={url([])}", "--duration=200ms", "--batch-size=9")
        self.assertEqual(ended.returncode, 2)
        self.assertIn("max_batch_size 8", ended.stderr)
        ended = run("bench", "--model=nope", f"--url={url(['grpc'])}", "--protocol=grpc")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("NOT_FOUND: Request for unknown model: 'nope'", ended.stderr)

    def test_wrong_command_lines_say_what_was_expected(self):
        for arguments, words in ((["--protocol=ftp"], "expected http or grpc"),
                                 (["--streaming"], "expected --protocol grpc"),
                                 (["--shared-memory=cuda"], "cuda is not supported"),
                                 (["--tensors=json", "--protocol=grpc"], "json is for HTTP"),
                                 (["--streams=2", "--concurrency=4", "--protocol=grpc"], "--concurrency alone"),
                                 (["--connections=0"], "expected 1 to 1024"),
                                 (["--tls-cert=x"], "expected both or neither")):
            ended = run("bench", "--model=add_sub", *arguments)
            self.assertEqual(ended.returncode, 2, arguments)
            self.assertIn(words, ended.stderr)

    def test_examples_of_the_help_are_flags_that_exist(self):
        for command in ("bench", "infer"):
            text = run(command, "--help").stdout
            examples = re.findall(rf"^\s+(tepal {command} .*)$", text, re.M)[1:]
            self.assertGreaterEqual(len(examples), 2)
            known = set(re.findall(r"^\s+(--[a-z-]+)", text, re.M))
            for example in examples:
                used = {word.split("=")[0] for word in shlex.split(example) if word.startswith("--")}
                self.assertLessEqual(used, known, example)


class Tls(unittest.TestCase):
    """A server that asks for client certificates on both doors."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.authority = Authority(cls.folder.name)
        certificate, key = cls.authority.issue("server")
        flags = []
        for door in ("http", "grpc"):
            flags += [f"--{door}-use-ssl=true", f"--{door}-use-ssl-mutual=true", f"--{door}-server-cert={certificate}",
                      f"--{door}-server-key={key}", f"--{door}-root-cert={cls.authority.certificate}"]
        cls.server = Server(*flags, models={"add_sub": ADD_SUB})

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        cls.folder.cleanup()
        assert code == 0, f"the server ended with {code}"

    def bench(self, way, *more):
        address = self.server.grpc if "grpc" in way else f"https://{self.server.http}"
        return run("bench", "--model=add_sub", f"--url={address}", "--tls", "--duration=300ms", "--verify", *way, *more)

    def test_both_sides_show_certificates(self):
        certificate, key = self.authority.issue("client")
        mine = [f"--tls-cert={certificate}", f"--tls-key={key}"]
        for name, way in WAYS.items():
            with self.subTest(way=name):
                trusted = self.bench(way, f"--tls-ca={self.authority.certificate}", *mine)
                self.assertEqual(trusted.returncode, 0, trusted.stderr)
                self.assertIn("1 clients", trusted.stdout)
                self.assertEqual(self.bench(way, "--tls-insecure", *mine).returncode, 0)
                self.assertEqual(self.bench(way, *mine).returncode, 1, "nobody the system trusts has signed it")
                self.assertEqual(self.bench(way, f"--tls-ca={self.authority.certificate}").returncode, 1, "no client certificate")


class Infer(unittest.TestCase):
    def test_every_way_names_the_flowers(self):
        for name, way in WAYS.items():
            if name == "json":
                continue
            for memory in ("none", "system"):
                with self.subTest(way=name, memory=memory):
                    ended = run("infer", f"--url={url(way)}", "--model=resnet50", "--json", "--concurrency=2",
                                f"--shared-memory={memory}", *way, str(ROOT / ".cache/photos"))
                    self.assertEqual(ended.returncode, 0, ended.stderr)
                    found = {pathlib.Path(a["photo"]).stem: a["classes"][0]["label"] for a in map(json.loads, ended.stdout.splitlines())}
                    self.assertEqual(found, {"sunflower": "sunflowers", "rose": "roses", "daisy": "daisy", "daisy2": "daisy"})
        self.assertEqual(shared_memory_files(), set())


if __name__ == "__main__":
    unittest.main()
