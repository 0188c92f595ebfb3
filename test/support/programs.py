"""Programs that tests and benchmarks start: their ports, when they are ready, what they cost, their end.

Standard library only. Import it by way of test/clients/stack.py or bench/peers.py, which know where it is.
"""
import os
import pathlib
import socket
import subprocess
import time
import urllib.request


def free_ports(count):
    """Ports nobody listens on now; several at once, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def wait_for(url, process, limit_s=60, poll_s=0.05):
    """Seconds until `url` answers with 200."""
    started = time.monotonic()
    while time.monotonic() - started < limit_s:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} exited with {process.returncode} before {url} answered")
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return time.monotonic() - started
        except OSError:
            time.sleep(poll_s)
    raise RuntimeError(f"{url} did not answer within {limit_s} s")


def stop(process, limit_s=20):
    """Ends a process, by force when it does not end itself; its exit code."""
    process.terminate()
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def cpu_seconds(pid):
    """User and system time of a process with all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
