#!/usr/bin/env python3
"""Clients and endpoints that break the rules, against a real `tepal balance`: refused or set apart, counted, and nobody else notices.

    hostile.py [NAME...]

Each case is a connection, or an endpoint, that does one thing wrong. After each the process lives, an honest client that asks all the time has
seen nothing but its answers, and no endpoint was ever asked for "/smuggled". Judged by answers: nothing here depends on how fast the machine is.
"""
import http.client
import json
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / folder) for folder in ("test/support", "test/clients")]

from programs import free_ports, stop, wait_for  # noqa: E402
from stack import TEPAL  # noqa: E402

PATIENCE_S = 60
HEAD = b"GET /v2 HTTP/1.1\r\nhost: a\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
CLOSED = 0  # In place of a status.
CLOSE = object()  # In place of a piece of an answer.
BROKEN = None  # In place of a body: the answer was visibly cut short.


# Endpoints.

class Endpoint:
    """Answers each request as `answer(request bytes, number)` says: bytes, a list of pieces, or an endless generator; None closes."""

    def __init__(self, answer, greeting=b""):
        self.answer, self.greeting, self.paths, self.requests = answer, greeting, [], 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        waiting = b""
        with connection:
            try:
                if self.greeting:
                    connection.sendall(self.greeting)
                while True:
                    while b"\r\n\r\n" not in waiting:
                        more = connection.recv(65536)
                        if not more:
                            return
                        waiting += more
                    head, waiting = waiting.split(b"\r\n\r\n", 1)
                    waiting = self.skip_body(connection, head.lower(), waiting)
                    self.paths.append(head.split(b" ")[1].decode("latin-1"))
                    self.requests += 1
                    answer = self.answer(head, self.requests)
                    if answer is None:
                        return
                    for piece in [answer] if isinstance(answer, bytes) else answer:
                        if piece is CLOSE:
                            return
                        connection.sendall(piece)
            except OSError:
                return

    @staticmethod
    def skip_body(connection, head, waiting):
        length = 0
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if b"transfer-encoding: chunked" in head:
            while b"0\r\n\r\n" not in waiting:
                waiting += connection.recv(65536)
            return waiting.split(b"0\r\n\r\n", 1)[1]
        while len(waiting) < length:
            waiting += connection.recv(65536)
        return waiting[length:]

    def close(self):
        self.listener.close()


def ok(body, extra=b""):
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%s\r\n%s" % (len(body), extra, body)


def good(_head, _number):
    return ok(b"good")


def endless(first, piece):
    yield first
    while True:
        yield piece


def hang(_head, _number):
    threading.Event().wait(PATIENCE_S)
    return None


# Name -> (answer, greeting, bodies that a client may see beside "good"). An answer of unknown length streams, and can only be cut short.
BAD_ENDPOINTS = {
    "garbage": (lambda *_: b"\x00\xff\xfe what is this\r\n\r\n", b"", set()),
    "another_protocol": (lambda *_: b"SSH-2.0-OpenSSH_9.2\r\n", b"", set()),
    "endless_head": (lambda *_: endless(b"HTTP/1.1 200 OK\r\n", b"x-filler: " + b"a" * 1000 + b"\r\n"), b"", set()),
    "endless_status_line": (lambda *_: endless(b"HTTP/1.1 200 ", b"a" * 4096), b"", set()),
    "endless_100": (lambda *_: endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), b"", set()),
    "body_too_short": (lambda *_: [b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", CLOSE], b"", set()),
    "length_is_no_number": (lambda *_: b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nevil", b"", set()),
    "length_twice": (lambda *_: b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nevil!", b"", set()),
    "length_and_chunks": (lambda *_: b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nevil", b"", {b"", b"evil"}),
    "chunk_is_no_number": (lambda *_: b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nevil\r\n", b"", {BROKEN}),
    "status_is_no_number": (lambda *_: b"HTTP/1.1 abc OK\r\ncontent-length: 4\r\n\r\nevil", b"", set()),
    "answers_twice": (lambda *_: ok(b"once") + ok(b"evil"), b"", {b"once"}),
    "more_than_it_said": (lambda *_: ok(b"once") + b"evil" * 100, b"", {b"once"}),
    "closes_at_once": (lambda *_: None, b"", set()),
    "never_answers": (hang, b"", set()),
    "header_with_nul": (lambda *_: b"HTTP/1.1 200 OK\r\nx: a\x00b\r\ncontent-length: 4\r\n\r\nevil", b"", set()),
}


# Clients: each returns the statuses that it may see first, and what it sends.

def repeated(line, count):
    return b"".join(line % i for i in range(count))


REQUESTS = {
    "head_too_large": ({431}, HEAD + b"x: " + b"a" * 20000 + b"\r\n\r\n"),
    "line_too_long": ({414, 431}, b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nhost: a\r\n\r\n"),
    "too_many_fields": ({431}, HEAD + repeated(b"x-%d: 1\r\n", 500) + b"\r\n"),
    "length_and_chunks": ({400}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED),
    "chunks_and_length": ({400}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n" + SMUGGLED),
    "lengths_differ": ({400}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\ncontent-length: 40\r\n\r\n" + SMUGGLED),
    "length_list": ({400}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ncontent-length: 0, 40\r\n\r\n" + SMUGGLED),
    "length_signed": ({400}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ncontent-length: +0\r\n\r\n" + SMUGGLED),
    "length_negative": ({400}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n" + SMUGGLED),
    "length_hex": ({400}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ncontent-length: 0x0\r\n\r\n" + SMUGGLED),
    "length_too_large": ({400, 413}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999999\r\n\r\n"),
    "coding_unknown": ({400, 501}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED),
    "coding_hidden": ({400, 501}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED),
    "coding_twice": ({400, 501}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n" + SMUGGLED),
    "coding_not_last": ({400, 501}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n" + SMUGGLED),
    "coding_in_http_1_0": ({400, 501}, b"POST /v2 HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED),
    "folded_field": ({400}, HEAD + b"x: a\r\n b\r\n\r\n"),
    "folded_coding": ({400, 501}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SMUGGLED),
    "blank_before_colon": ({400}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED),
    "blank_before_first": ({400}, b"GET /v2 HTTP/1.1\r\n host: a\r\n\r\n"),
    "bare_line_feeds": ({400}, b"GET /v2 HTTP/1.1\nhost: a\n\n"),
    "bare_line_feed_in_head": ({400}, b"GET /v2 HTTP/1.1\r\nhost: a\r\nx: a\ncontent-length: 40\r\n\r\n"),
    "bare_carriage_return": ({400}, b"GET /v2 HTTP/1.1\r\nhost: a\r\nx: a\rcontent-length: 40\r\n\r\n"),
    "nul_in_field": ({400}, HEAD + b"x: a\x00b\r\n\r\n"),
    "field_without_name": ({400}, HEAD + b": a\r\n\r\n"),
    "field_without_colon": ({400}, HEAD + b"nothing\r\n\r\n"),
    "two_hosts": ({400}, HEAD + b"host: b\r\n\r\n"),
    "two_equal_hosts": ({400}, HEAD + b"Host: a\r\n\r\n" + SMUGGLED),
    "host_list": ({400}, b"GET /v2 HTTP/1.1\r\nhost: a, b\r\n\r\n"),
    "no_host": ({400}, b"GET /v2 HTTP/1.1\r\n\r\n" + SMUGGLED),
    "no_host_in_field": ({400}, b"GET http://a/v2 HTTP/1.1\r\n\r\n" + SMUGGLED),
    "no_host_with_body": ({400}, b"POST /v2 HTTP/1.1\r\ncontent-length: 40\r\n\r\n" + SMUGGLED),
    "no_host_in_http_1_0": ({200}, b"GET /v2/health/ready HTTP/1.0\r\n\r\n"),  # As a simple probe.
    "version_unknown": ({400, 505}, b"GET /v2 HTTP/9.9\r\nhost: a\r\n\r\n"),
    "no_version": ({400, CLOSED}, b"GET /v2\r\n\r\n"),
    "tunnel": ({400, 405, 501}, b"CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n"),
    "no_protocol": ({400, CLOSED}, bytes(range(128, 256)) * 8 + b"\r\n\r\n"),
    "tls_hello": ({400, CLOSED}, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n"),
    "chunk_size_garbage": ({400}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n0\r\n\r\n" + SMUGGLED),
    "chunk_size_negative": ({400}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n\r\n0\r\n\r\n" + SMUGGLED),
    "chunk_size_overflows": ({400, 413}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n10000000000000000\r\n\r\n" + SMUGGLED),
    "chunk_end_missing": ({400}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc0\r\n\r\n" + SMUGGLED),
    "chunk_line_bare_feed": ({400}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2;\nxx\r\n28\r\n" + SMUGGLED + b"\r\n0\r\n\r\n"),
    "chunk_extension_endless": ({400, 431, 413}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"a" * 200000),
    "trailers_too_large": ({400, 431}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + repeated(b"x-%d: 1\r\n", 5000) + b"\r\n"),
    # These wait for what never comes.
    "slow_head": ({408}, HEAD),
    "slow_body": ({408}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nx"),
    "slow_chunk": ({408}, b"POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nx"),
}


# HTTP/2, by hand.

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


FIELDS = (literal(b":method", b"GET") + literal(b":scheme", b"http") + literal(b":path", b"/v2") + literal(b":authority", b"a"))


def opened(more):
    yield PREFACE + frame(SETTINGS)
    yield from more


def streams(make, count=20000):
    return (b"".join(make(1 + 2 * (i + j)) for j in range(50)) for i in range(0, count, 50))


def many(what, count=400):
    return (what * 50 for _ in range(count))


FLOODS = {
    "settings": many(frame(SETTINGS)),
    "pings": many(frame(PING, payload=b"12345678")),
    "priorities": many(frame(PRIORITY, stream=1, payload=b"\0\0\0\0\x10")),
    "rapid_reset": streams(lambda s: frame(HEADERS, END_HEADERS | END_STREAM, s, FIELDS) + frame(RESET, 0, s, b"\0\0\0\x08")),
    "made_you_reset": streams(lambda s: frame(HEADERS, END_HEADERS | END_STREAM, s, FIELDS) + frame(WINDOW, 0, s, b"\0\0\0\0")),
    "continuations": iter([frame(HEADERS, END_STREAM, 1, FIELDS)] + [frame(CONTINUATION, 0, 1, literal(b"x", b"a" * 100) * 20)] * 4000),
    "empty_continuations": iter([frame(HEADERS, END_STREAM, 1, FIELDS)] + [frame(CONTINUATION, 0, 1) * 50] * 400),
    "empty_data": iter([frame(HEADERS, END_HEADERS, 1, FIELDS)] + [frame(DATA, 0, 1) * 50] * 400),
    "field_bomb": iter([frame(HEADERS, END_HEADERS | END_STREAM, 1, FIELDS + b"\x40\x01y\x64" + b"a" * 100 + b"\xbe" * 16000)]),
    "window_overflow": iter([frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff") * 3]),
    "frame_too_large": iter([b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"a" * 100]),
    "push": iter([frame(PUSH, END_HEADERS, 1, b"\0\0\0\x02" + FIELDS)]),
    "no_settings": iter([frame(HEADERS, END_HEADERS | END_STREAM, 0, FIELDS)]),
    "upper_case_field": iter([frame(HEADERS, END_HEADERS | END_STREAM, 1, FIELDS + literal(b"X-A", b"b")) + frame(PING, 0, 0, b"thats ok")]),
}
ENDED_BY_STREAM = {"upper_case_field", "field_bomb"}  # The connection may go on.


# The balancer under test.

class Honest(threading.Thread):
    """Asks all the time, over one connection that it keeps."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.going, self.answers, self.failures = address, True, 0, []

    def run(self):
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE_S)
        while self.going:
            try:
                connection.request("POST", "/v2/models/m/infer", body=b"{}")
                answer = connection.getresponse()
                body = answer.read()
                if (answer.status, body) != (200, b"good"):
                    self.failures.append((answer.status, body))
                self.answers += 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
        connection.close()


class Scene:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.good = [Endpoint(good), Endpoint(good)]
        self.bad = {name: Endpoint(answer, greeting) for name, (answer, greeting, _) in BAD_ENDPOINTS.items()}
        ports = free_ports(2 + len(self.bad))
        self.front, self.admin = f"127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
        self.fronts = {name: f"127.0.0.1:{port}" for name, port in zip(self.bad, ports[2:])}
        listeners = [f"  - {{address: '{self.front}', pool: good}}"] + [
            f"  - {{address: '{address}', pool: {name}}}" for name, address in self.fronts.items()]
        common = "health_check: {enabled: false}, ejection: {enabled: false}, policy: round_robin, retries: {try_time_max: 2s, tokens_start: 1000}"
        pools = [f"  good: {{{common}, endpoints: [{', '.join(f'{{address: {repr(e.address)}}}' for e in self.good)}]}}"] + [
            f"  {name}: {{{common}, endpoints: [{{address: '{bad.address}'}}, {{address: '{self.good[0].address}'}}]}}"
            for name, bad in self.bad.items()]
        path = pathlib.Path(self.folder.name) / "balance.yaml"
        path.write_text("listeners:\n" + "\n".join(listeners) + "\npools:\n" + "\n".join(pools) +
                        f"\nadmin: {{address: '127.0.0.1:{ports[1]}'}}\n"
                        "limits: {header_time_max: 1s, body_idle_max: 1s, header_bytes_max: 8KiB}\n")
        self.log = open(pathlib.Path(self.folder.name) / "log", "w+")
        self.process = subprocess.Popen([str(TEPAL), "balance", "--config", str(path)], stdout=self.log, stderr=subprocess.STDOUT)
        wait_for(f"http://{self.front}/v2", self.process)
        self.honest = Honest(self.front)
        self.honest.start()

    def peers(self, pool):
        with urllib.request.urlopen(f"{self.admin}/api/9/http/upstreams/{pool}", timeout=PATIENCE_S) as answer:
            return {peer["server"]: peer for peer in json.load(answer)["peers"]}

    def connect(self, address):
        host, port = address.split(":")
        return socket.create_connection((host, int(port)), timeout=PATIENCE_S)

    def check(self):
        """What must hold after every case."""
        if self.process.poll() is not None:
            self.log.seek(0)
            return [f"the balancer ended with {self.process.returncode}: {self.log.read()[-2000:]}"]
        seen = self.honest.answers
        for _ in range(PATIENCE_S * 20):
            if self.honest.answers > seen or self.honest.failures:
                break
            threading.Event().wait(0.05)
        else:
            return ["an honest client waits for its answer"]
        failures = [f"an honest client saw {failure}" for failure in self.honest.failures[:3]]
        for endpoint in self.good + list(self.bad.values()):
            failures += ["a smuggled request reached an endpoint" for path in endpoint.paths if "smuggled" in path][:1]
        return failures

    def close(self):
        self.honest.going = False
        self.honest.join(PATIENCE_S)
        code = stop(self.process)
        self.log.close()
        for endpoint in self.good + list(self.bad.values()):
            endpoint.close()
        self.folder.cleanup()
        return code


def everything(connection):
    """What comes until the peer closes; a reset ends it as well."""
    received = b""
    try:
        while True:
            more = connection.recv(65536)
            if not more:
                return received
            received += more
    except ConnectionError:
        return received


def send_all(connection, bytes_):
    try:
        connection.sendall(bytes_)
    except ConnectionError:
        pass  # It has been refused before its end.


def try_request(scene, expected, request):
    with scene.connect(scene.front) as connection:
        send_all(connection, request)
        try:
            received = everything(connection)
        except TimeoutError:
            return ["the connection stays open"]
    status = int(received[9:12]) if received.startswith(b"HTTP/1.") else CLOSED
    if status not in expected:
        return [f"answered {status}, expected {sorted(expected)}: {received[:200]!r}"]
    answers = received.count(b"HTTP/1.1 ")
    return [f"{answers} answers to one request: {received[:400]!r}"] if answers > 1 else []


def frames(received):
    while len(received) >= 9:
        size = int.from_bytes(received[:3], "big")
        yield received[3], received[9:9 + size]
        received = received[9 + size:]


def try_flood(scene, name, flood):
    with scene.connect(scene.front) as connection:
        connection.settimeout(PATIENCE_S)
        reader_saw = []
        reader = threading.Thread(target=lambda: reader_saw.append(read_quietly(connection)), daemon=True)
        reader.start()
        for piece in opened(flood):
            try:
                connection.sendall(piece)
            except OSError:
                break  # Refused.
        if name in ENDED_BY_STREAM:
            try:
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        reader.join(PATIENCE_S)
        if reader.is_alive():
            return ["the connection is still open"]
    kinds = [kind for kind, _ in frames(reader_saw[0])]
    if name not in ENDED_BY_STREAM and reader_saw[0] and GOAWAY not in kinds:
        return [f"closed without a GOAWAY: {kinds[-5:]}"]
    return []


def read_quietly(connection):
    try:
        return everything(connection)
    except (TimeoutError, OSError):
        return b""


def try_bad_endpoint(scene, name):
    allowed = BAD_ENDPOINTS[name][2] | {b"good"}
    failures = []
    for number in range(8):
        connection = http.client.HTTPConnection(scene.fronts[name], timeout=PATIENCE_S)
        try:
            connection.request("POST", "/v2/models/m/infer", body=b"{}")
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or body not in allowed:
                failures.append(f"request {number}: {answer.status} {body[:200]!r}")
        except (OSError, http.client.HTTPException) as error:
            if BROKEN not in allowed:
                failures.append(f"request {number}: {error!r}")
        connection.close()
    peer = scene.peers(name)[scene.bad[name].address]
    if not BAD_ENDPOINTS[name][2] and peer["fails"] + peer["unavail"] == 0:
        failures.append(f"its failures are not counted: {peer}")
    if scene.bad[name].requests == 0:
        failures.append("it was never asked")
    return failures


def run(only=()):
    """Failures by case; empty: all is well."""
    scene = Scene()
    cases = {f"client: {name}": (lambda e=expected, r=request: try_request(scene, e, r)) for name, (expected, request) in REQUESTS.items()}
    cases |= {f"h2: {name}": (lambda n=name, f=flood: try_flood(scene, n, f)) for name, flood in FLOODS.items()}
    cases |= {f"endpoint: {name}": (lambda n=name: try_bad_endpoint(scene, n)) for name in BAD_ENDPOINTS}
    failures = {}
    try:
        for name, case in cases.items():
            if only and not any(word in name for word in only):
                continue
            wrong = case() + scene.check()
            scene.honest.failures.clear()
            if wrong:
                failures[name] = wrong
            if scene.process.poll() is not None:
                break
    finally:
        code = scene.close()
    if code != 0:
        failures["the end"] = [f"the balancer ended with {code}"]
    return len(cases), failures


if __name__ == "__main__":
    count, found = run(sys.argv[1:])
    for case_name, whys in found.items():
        for why in whys:
            print(f"{case_name}: {why}")
    print(f"{count} cases, {len(found)} failed")
    sys.exit(1 if found else 0)
