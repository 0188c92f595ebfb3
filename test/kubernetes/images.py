"""The images that the tests' pods run, each a tar for containerd, made of what this machine has."""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "deploy/container"))
from oci_image import Image  # noqa: E402

BUSYBOX_PROGRAMS = ("sh", "sleep", "cat", "env", "wget", "httpd", "ls", "hostname", "echo", "nc")


def pause(folder):
    program = folder / "pause"
    subprocess.run(["gcc", "-O2", "-static", "-o", program, HERE / "image/pause.c"], check=True)
    image = Image("local.test/pause:1", entrypoint=["/pause"])
    image.add_from(program, "/pause", 0o755)
    return _write(image, folder / "pause.tar")


def busybox(folder, root):
    image = Image("local.test/busybox:1")
    add_busybox(image, root)
    return _write(image, folder / "busybox.tar")


def add_busybox(image, root):
    image.add_from(root / "bin/busybox", "/bin/busybox", 0o755)
    for name in BUSYBOX_PROGRAMS:
        image.add_link(f"/bin/{name}", "busybox")


def add_program(image, program, path):
    """With every library that it is linked with, where the loader finds them."""
    image.add_from(program, path, 0o755)
    listing = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    for library in re.findall(r"(/\S+) \(0x", listing):
        image.add_from(library, library, 0o755)


def _write(image, path):
    image.write(path)
    return path
