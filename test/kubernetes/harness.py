"""What the tests on a real cluster share: one cluster for all of them, and programs whose lines are waited for."""
import os
import pathlib
import queue
import re
import subprocess
import threading
import time
import unittest

import images
from cluster import Cluster

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = REPOSITORY / os.environ.get("TEPAL_BUILD", "build/release")


# The HorizontalPodAutoscaler's, for tests; TEPAL_HPA_TIMINGS=stock leaves Kubernetes' own (15 s, 300 s).
QUICK_AUTOSCALER = ["--horizontal-pod-autoscaler-sync-period=1s", "--horizontal-pod-autoscaler-initial-readiness-delay=1s",
                    "--horizontal-pod-autoscaler-cpu-initialization-period=1s"]

STOCK_AUTOSCALER = os.environ.get("TEPAL_HPA_TIMINGS") == "stock"


def new_cluster(autoscaler=()):
    """Two nodes with the images that every test needs; not up yet."""
    cluster = Cluster(nodes=2, controller_manager=autoscaler)
    folder = cluster.folder / "images"
    folder.mkdir()
    cluster.images += [images.pause(folder), images.busybox(folder, cluster.tools)]
    return cluster


class KubernetesTest(unittest.TestCase):
    """`self.cluster`: brought up by the first class that asks, taken down by run.py after the last."""
    shared = None

    @classmethod
    def setUpClass(cls):
        if KubernetesTest.shared is None:
            KubernetesTest.shared = new_cluster([] if STOCK_AUTOSCALER else QUICK_AUTOSCALER).__enter__()
        cls.cluster = KubernetesTest.shared

    def setUp(self):
        started = time.monotonic()
        self.addCleanup(lambda: print(f"{self.id().split('.')[-1]}: {time.monotonic() - started:.1f} s", flush=True))

    @staticmethod
    def take_down():
        if KubernetesTest.shared is not None:
            started = time.monotonic()
            cluster, KubernetesTest.shared = KubernetesTest.shared, None
            cluster.__exit__()
            print(f"kubernetes: down after {time.monotonic() - started:.1f} s", flush=True)
            left = cluster.left_over()
            if left:
                raise AssertionError("the cluster has left behind: " + "; ".join(left))


class Lines:
    """A program whose output is read line by line."""

    def __init__(self, command):
        self.process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines = []
        self._queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def expect(self, pattern, seconds=60):
        """Reads on until a line matches."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line like '{pattern}' within {seconds} s, but {self.lines[-20:]}") from None
            if line is None:
                raise AssertionError(f"the program ended without a line like '{pattern}': {self.lines[-20:]}")
            self.lines.append(line)
            if re.search(pattern, line):
                return line

    def terminate(self):
        self.process.terminate()

    def kill(self):
        self.process.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
