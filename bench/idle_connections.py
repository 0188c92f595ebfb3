#!/usr/bin/env python3
"""What idle and slow connections cost the others: CPU time per request without and with them, and memory of each.

    bench/idle_connections.py                  build/release/bin/tepal, 10,000 idle and 1,000 slow connections
    bench/idle_connections.py --rounds 5 --tepal build/release/bin/tepal

The load is wrk's GET /v2/health/ready over 16 connections, the cheapest request there is: what does not show there
shows nowhere. Half of the idle connections have had an answer over HTTP/1.1, half over HTTP/2. A slow one sends a byte
of its body each second; what that costs the server is in the figure. Exits with 1 above the target of +10 %.
"""
import argparse
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import peers

TARGET = 1.10
GET = b"GET /v2/health/ready HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /v2/models/none/infer HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n"
# Preface, SETTINGS, the acknowledgement of theirs, and GET /v2/health/ready of 127.0.0.1 by HPACK's static table.
HEADERS = b"\x82\x86\x04\x10/v2/health/ready\x01\x01h"
HTTP2 = (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + b"\0\0\0\4\1\0\0\0\0"
         + len(HEADERS).to_bytes(3, "big") + b"\1\5\0\0\0\1" + HEADERS)


class Server:
    def __init__(self, tepal, models):
        self.log = open(models / "log", "w+")
        self.process = subprocess.Popen(
            [tepal, "serve", f"--model-repository={models / 'models'}", "--allow-grpc=false", "--allow-metrics=false",
             "--http-address=127.0.0.1", "--http-port=0"], stdout=self.log, stderr=subprocess.STDOUT)
        for _ in range(100):
            found = re.search(r"Started HTTPService at 127\.0\.0\.1:(\d+)", pathlib.Path(self.log.name).read_text())
            if found:
                self.port = int(found.group(1))
                return
            time.sleep(0.1)
        raise SystemExit(f"bench: no server within 10 s:\n{pathlib.Path(self.log.name).read_text()}")

    def stop(self):
        self.process.kill()
        self.process.wait()


class Connections:
    """Connections that have sent `first`, each after the one before was answered where an answer is due."""

    def __init__(self, port, count, first, answered):
        self.sockets = []
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", port))
            one.sendall(first)
            if answered and not one.recv(65536):
                raise SystemExit("bench: the server has closed a connection that was to be idle")
            self.sockets.append(one)

    def drip(self, stop):
        while not stop.is_set():
            began = time.monotonic()
            for one in self.sockets:
                one.send(b" ")
                if stop.is_set():
                    return
            stop.wait(max(0.0, 1 - (time.monotonic() - began)))

    def close(self):
        for one in self.sockets:
            one.close()


def microseconds_per_request(server, seconds):
    before = peers.cpu_seconds(server.process.pid)
    text = subprocess.run(["wrk", "-t1", "-c16", f"-d{seconds}s", f"http://127.0.0.1:{server.port}/v2/health/ready"],
                          capture_output=True, text=True, check=True).stdout
    if re.search(r"Non-2xx|Socket errors", text):
        raise SystemExit(f"bench: errors:\n{text}")
    return (peers.cpu_seconds(server.process.pid) - before) * 1e6 / int(re.search(r"(\d+) requests in", text).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tepal", default=peers.TEPAL)
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--slow", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of load, for each figure")
    flags = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        models = pathlib.Path(folder)
        (models / "models").mkdir()
        server = Server(flags.tepal, models)
        try:
            microseconds_per_request(server, 1)
            without, crowded = [], []
            for number in range(flags.rounds):
                without.append(microseconds_per_request(server, flags.seconds))
                held, sizes = [], []
                for first in (GET, HTTP2):
                    before = peers.resident_mib(server.process.pid)
                    held.append(Connections(server.port, flags.idle // 2, first, True))
                    sizes.append((peers.resident_mib(server.process.pid) - before) * 2**20 / (flags.idle // 2))
                if number == 0:  # Later ones use again what the first have left.
                    print(f"memory of an idle connection: HTTP/1.1 {sizes[0]:,.0f} bytes, HTTP/2 {sizes[1]:,.0f} bytes")
                held.append(Connections(server.port, flags.slow, POST, False))
                stop = threading.Event()
                dripping = threading.Thread(target=held[-1].drip, args=(stop,))
                dripping.start()
                try:
                    crowded.append(microseconds_per_request(server, flags.seconds))
                finally:
                    stop.set()
                    dripping.join()
                for connections in held:
                    connections.close()
                print(f"round {number + 1}: {without[-1]:.2f} us a request without, {crowded[-1]:.2f} with", flush=True)
                time.sleep(1)
        finally:
            server.stop()
    ratio = statistics.median(crowded) / statistics.median(without)
    print(f"{flags.idle:,} idle and {flags.slow:,} slow connections: CPU time per request x {ratio:.3f} (target {TARGET})")
    return 0 if ratio <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
