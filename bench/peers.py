"""Starting servers side by side and reading what they cost. Standard library only."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test/support"))

from programs import cpu_seconds, free_ports, resident_mib, wait_for  # noqa: E402,F401: for who imports this

BUILD = ROOT / "build/release"
TEPAL = BUILD / "bin/tepal"
BACKENDS = BUILD / "lib/tepal/backends"


def wait_ready(process, port):
    """Seconds until the server says it is ready."""
    return wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process, limit_s=30, poll_s=0.002)


@contextlib.contextmanager
def running(command, log, env=None):
    """A process that is stopped, and killed if it does not stop, at the end."""
    with open(log, "wb") as out:
        process = subprocess.Popen([str(c) for c in command], stdout=out, stderr=subprocess.STDOUT,
                                   env={**os.environ, **(env or {})}, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def triton_home():
    """The real Triton 2.51, unpacked from its wheel (tools/setup peers)."""
    home = ROOT / ".cache/triton/unpacked"
    if not (home / "ready").exists():
        wheel = next((ROOT / ".cache/triton").glob("nvidia_pytriton-*.whl"), None)
        if wheel is None:
            raise SystemExit("bench: the real Triton is missing; run tools/setup peers")
        shutil.rmtree(home, ignore_errors=True)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(home)
        server = home / "pytriton/tritonserver/bin/tritonserver"
        server.chmod(0o755)
        (home / "ready").touch()
    return home


def triton_command(repository, backends, http, grpc, metrics):
    home = triton_home()
    base = home / "pytriton/tritonserver"
    command = [base / "bin/tritonserver", f"--model-repository={repository}", f"--backend-directory={backends}",
               "--allow-gpu-metrics=false", "--http-address=127.0.0.1", "--grpc-address=127.0.0.1",
               f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}"]
    if (base / "caches").exists():
        command.append(f"--cache-directory={base / 'caches'}")
    libraries = [base / "lib", base / "external_libs", home / "nvidia_pytriton.libs"]
    return command, {"LD_LIBRARY_PATH": ":".join(str(p) for p in libraries if p.exists())}


def tepal_command(repository, backends, http, grpc, metrics):
    return [TEPAL, "serve", f"--model-repository={repository}", f"--backend-directory={backends}",
            "--http-address=127.0.0.1", "--grpc-address=127.0.0.1", f"--http-port={http}", f"--grpc-port={grpc}",
            f"--metrics-port={metrics}"]


def table(rows, header):
    cells = [[str(c) for c in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])
