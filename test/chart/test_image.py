"""The container image as tools/image assembles it: what is in it, and what it says of itself."""
import json
import pathlib
import stat
import subprocess
import sys
import tarfile
import tempfile
import unittest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(REPOSITORY / "deploy/container"))
from dockerfile import read_config  # noqa: E402

BUILD = REPOSITORY / "build/release"


class Dockerfile(unittest.TestCase):
    def test_its_last_stage_is_read(self):
        config = read_config((REPOSITORY / "deploy/container/Dockerfile").read_text())
        self.assertEqual(config["User"], "65532:65532")
        self.assertTrue(config["Env"][0].startswith("PATH=/opt/tritonserver/bin:"))
        self.assertNotIn("DEBIAN_FRONTEND=noninteractive", config["Env"])
        self.assertEqual(config["Cmd"], ["tepal", "--help"])

    def test_what_it_does_not_know_is_refused(self):
        with self.assertRaisesRegex(ValueError, "line 2: VOLUME, expected"):
            read_config("FROM scratch\nVOLUME /models\n")


@unittest.skipUnless((BUILD / "bin/tepal").exists() and (BUILD / "lib/tepal/backends/onnxruntime/libtriton_onnxruntime.so").exists(),
                     "there is no release build")
class ImageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.archive = pathlib.Path(cls.folder.name, "image.tar")
        cls.said = subprocess.run([REPOSITORY / "tools/image", f"--output={cls.archive}", "--name=tepal:test"], check=True, capture_output=True,
                                  text=True).stdout
        cls.bill = json.loads(cls.archive.with_suffix(".spdx.json").read_text())
        cls.members = {}
        with tarfile.open(cls.archive) as archive:
            blob = lambda entry: archive.extractfile("blobs/" + entry["digest"].replace(":", "/"))
            index = json.load(archive.extractfile("index.json"))
            manifest = json.load(blob(index["manifests"][0]))
            cls.config = json.load(blob(manifest["config"]))["config"]
            cls.layers = len(manifest["layers"])
            for entry in manifest["layers"]:
                with tarfile.open(fileobj=blob(entry)) as layer:
                    cls.members.update({"/" + one.name: one for one in layer})

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_it_is_small_and_nobody_is_root_in_it(self):
        self.assertLess(sum(one.size for one in self.members.values()), 150_000_000)
        self.assertEqual((self.config["User"], self.layers), ("65532:65532", 2))
        for path, one in self.members.items():
            self.assertEqual((one.uid, one.gid, one.mtime), (0, 0, 0), path)
            self.assertFalse(one.mode & (stat.S_ISUID | stat.S_ISGID), path)
            self.assertTrue(one.issym() or path == "/tmp" or not one.mode & 0o022, path)

    def test_the_recipe_s_pod_finds_what_it_calls(self):
        for path, target in (("/opt/tritonserver/bin/tritonserver", "/usr/bin/tepal"), ("/bin", "usr/bin"), ("/usr/bin/sh", "dash")):
            self.assertEqual(self.members[path].linkname, target)
        for path in ("/usr/bin/bash", "/usr/bin/dash", "/usr/bin/tepal", "/usr/bin/sleep",
                     "/usr/lib/tepal/backends/onnxruntime/libtriton_onnxruntime.so", "/usr/lib/tepal/backends/onnxruntime/libonnxruntime.so.1"):
            self.assertTrue(self.members[path].isfile() and self.members[path].size > 0, path)

    def test_the_bill_has_every_file_and_every_package_its_licence(self):
        files = {path for path, one in self.members.items() if one.isfile()}
        listed = {one["fileName"][1:] for one in self.bill["files"]}
        self.assertEqual(files - listed, {"/usr/share/doc/tepal/sbom.spdx.json"})
        self.assertEqual(listed - files, set())
        self.assertEqual(self.bill["spdxVersion"], "SPDX-2.3")
        names = [one["SPDXID"] for kind in ("packages", "files") for one in self.bill[kind]]
        self.assertEqual(len(names), len(set(names)))
        for relation in self.bill["relationships"]:
            self.assertLessEqual({relation["spdxElementId"], relation["relatedSpdxElement"]}, {*names, "SPDXRef-DOCUMENT"})
        for package in self.bill["packages"]:
            self.assertTrue(package["versionInfo"])
            self.assertTrue(any(path.startswith(f"/usr/share/doc/{package['name']}/") for path in files), package["name"])

    def test_the_same_build_gives_the_same_bytes(self):
        again = pathlib.Path(self.folder.name, "again.tar")
        subprocess.run([REPOSITORY / "tools/image", f"--output={again}", "--name=tepal:test"], check=True, capture_output=True)
        self.assertEqual(again.read_bytes() == self.archive.read_bytes(), True)


if __name__ == "__main__":
    unittest.main()
