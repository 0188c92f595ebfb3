#!/usr/bin/env python3
"""Load on a v2 server whose tensors lie in shared memory: shm.py KIND PORT TYPE IMAGES CLIENTS SECONDS RATE SEED OUT.json

KIND cuda or system. So many connections over loopback HTTP, each with regions of its own for IMAGES images of
TYPE (FP16 or UINT8 of the TorchScript model, FP32 of the ONNX model), which are random, and for what comes back; requests only name them. RATE 0: each connection
sends when it has its answer; otherwise Poisson arrivals of so many requests a second over all connections, and
latency counts from the arrival. One second of warm-up is not counted. CUDA through its driver by ctypes.
"""
import base64
import collections
import ctypes
import http.client
import json
import mmap
import os
import random
import selectors
import socket
import struct
import sys
import time

ELEMENTS = 3 * 224 * 224
OUTPUT_BYTES = 5 * 4  # Of one image.
WARM_UP_SECONDS = 1.0
BYTES = {"FP16": 2, "UINT8": 1, "FP32": 4}
NAMES = {"FP32": ("input", "probabilities")}


class CudaMemory:
    """A block on GPU 0, exported."""

    driver = None

    @classmethod
    def check(cls, result):
        if result != 0:
            sys.exit(f"CUDA error {result}")

    @classmethod
    def open(cls):
        cls.driver = ctypes.CDLL("libcuda.so.1")
        context, device = ctypes.c_void_p(), ctypes.c_int()
        cls.check(cls.driver.cuInit(0))
        cls.check(cls.driver.cuDeviceGet(ctypes.byref(device), 0))
        cls.check(cls.driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
        cls.check(cls.driver.cuCtxPushCurrent_v2(context))

    def __init__(self, name, size):
        if self.driver is None:
            self.open()
        self.name, self.size = name, size
        self.address = ctypes.c_uint64()
        self.check(self.driver.cuMemAlloc_v2(ctypes.byref(self.address), ctypes.c_size_t(size)))

    def registration(self):
        handle = ctypes.create_string_buffer(64)
        self.check(self.driver.cuIpcGetMemHandle(handle, self.address))
        return {"raw_handle": {"b64": base64.b64encode(handle.raw).decode()}, "device_id": 0,
                "byte_size": self.size}

    def write(self, data):
        self.check(self.driver.cuMemcpyHtoD_v2(self.address, data, ctypes.c_size_t(len(data))))

    def read(self):
        data = ctypes.create_string_buffer(self.size)
        self.check(self.driver.cuMemcpyDtoH_v2(data, self.address, ctypes.c_size_t(self.size)))
        return data.raw

    def close(self):
        self.check(self.driver.cuMemFree_v2(self.address))


class SystemMemory:
    """A POSIX shared memory object."""

    def __init__(self, name, size):
        self.name, self.size = name, size
        self.path = f"/dev/shm/{name}"
        with open(self.path, "wb+") as file:
            file.truncate(size)
            self.bytes = mmap.mmap(file.fileno(), size)

    def registration(self):
        return {"key": f"/{self.name}", "offset": 0, "byte_size": self.size}

    def write(self, data):
        self.bytes[:len(data)] = data

    def read(self):
        return bytes(self.bytes)

    def close(self):
        os.unlink(self.path)


KINDS = {"cuda": ("cudasharedmemory", CudaMemory), "system": ("systemsharedmemory", SystemMemory)}


class Api:
    def __init__(self, kind, port):
        self.route, self.memory = KINDS[kind]
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def call(self, path, body=None):
        self.connection.request("POST", path, json.dumps(body) if body else None)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            sys.exit(f"{path}: {answer.status} {text}")
        return json.loads(text) if text else None

    def region(self, name, size):
        memory = self.memory(name, size)
        self.call(f"/v2/{self.route}/region/{name}/register", memory.registration())
        return memory

    def unregister(self, memory):
        self.call(f"/v2/{self.route}/region/{memory.name}/unregister")
        memory.close()


def infer_body(kind, images, source, source_size, target, target_size):
    def place(name, size):
        return {"shared_memory_region": name, "shared_memory_byte_size": size}
    names = NAMES.get(kind, ("INPUT__0", "OUTPUT__0"))
    return {"inputs": [{"name": names[0], "datatype": kind, "shape": [images, 3, 224, 224],
                        "parameters": place(source, source_size)}],
            "outputs": [{"name": names[1], "parameters": place(target, target_size)}]}


def random_images(kind, size, dice):
    """Numbers between 1 and 2, or any bytes; the same few rows over and over."""
    count = ELEMENTS // 16
    if kind == "UINT8":
        row = dice.randbytes(count)
    elif kind == "FP16":
        row = b"".join(bytes((dice.randrange(256), 0x3C + dice.randrange(4))) for _ in range(count))
    else:
        row = b"".join(struct.pack("<f", 1 + dice.random()) for _ in range(count))
    return (row * (size // len(row) + 1))[:size]


class Connection:
    """One keep-alive connection that sends the same request over and over."""

    def __init__(self, port, body):
        text = json.dumps(body)
        self.request = (f"POST /v2/models/flower/infer HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                        f"Content-Length: {len(text)}\r\n\r\n{text}").encode()
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.began = 0.0

    def send(self, began):
        self.began = began
        self.socket.sendall(self.request)

    def answered(self):
        """None until the whole answer is there, then whether it was good."""
        data = self.socket.recv(65536)
        if not data:
            sys.exit("the server closed a connection")
        self.received += data
        head, mark, body = self.received.partition(b"\r\n\r\n")
        if not mark:
            return None
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                      if line.startswith(b"content-length:"))
        if len(body) < length:
            return None
        self.received = b""
        good = head.startswith(b"HTTP/1.1 200")
        if not good:
            print(body.decode(), file=sys.stderr)
        return good


def drive(connections, seconds, rate, dice):
    """Latencies in seconds of what ended within the time, and how many failed."""
    ready = selectors.DefaultSelector()
    for connection in connections:
        ready.register(connection.socket, selectors.EVENT_READ, connection)
    latencies, failed = [], 0
    begin = time.perf_counter() + WARM_UP_SECONDS
    end = begin + seconds
    idle = collections.deque(connections)
    waiting = collections.deque()  # Arrivals without a connection.
    next_arrival = time.perf_counter()
    while True:
        now = time.perf_counter()
        if now >= end:
            return latencies, failed
        if rate == 0:
            while idle:
                idle.popleft().send(time.perf_counter())
            timeout = end - now
        else:
            while next_arrival <= now:
                waiting.append(next_arrival)
                next_arrival += dice.expovariate(rate)
            while waiting and idle:
                idle.popleft().send(waiting.popleft())
            timeout = min(end, next_arrival) - now
        for key, _ in ready.select(max(0, timeout)):
            connection = key.data
            good = connection.answered()
            if good is None:
                continue
            now = time.perf_counter()
            if begin <= now < end:
                latencies.append(now - connection.began)
                failed += not good
            idle.append(connection)


def quantile(ordered, q):
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else float("nan")


def main(kind, port, datatype, images, clients, seconds, rate, seed, out):
    port, images, clients, seed = int(port), int(images), int(clients), int(seed)
    size = images * ELEMENTS * BYTES[datatype]
    dice = random.Random(seed)
    data = random_images(datatype, size, dice)
    api = Api(kind, port)
    regions, connections = [], []
    for client in range(clients):
        name = f"tepal-{os.getpid()}-{client}"
        source = api.region(f"{name}-in", size)
        target = api.region(f"{name}-out", images * OUTPUT_BYTES)
        source.write(data)
        regions += [source, target]
        body = infer_body(datatype, images, source.name, size, target.name, target.size)
        connections.append(Connection(port, body))
    latencies, failed = drive(connections, float(seconds), float(rate), dice)
    for connection in connections:
        connection.socket.close()
    time.sleep(0.2)  # What was under way ends before its regions go.
    for region in regions:
        api.unregister(region)
    latencies.sort()
    with open(out, "w") as file:
        json.dump({"throughput_per_s": len(latencies) / float(seconds), "failed": failed,
                   "p50_ms": 1000 * quantile(latencies, 0.5),
                   "p99_ms": 1000 * quantile(latencies, 0.99)}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
