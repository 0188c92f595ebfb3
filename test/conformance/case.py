"""Conformance cases: how they are written down, sent and compared.

Python's standard library only; cases over gRPC need what grpc_call.py says.

A case is a text file of lines "keyword value"; README.md lists the keywords. The first part is the
request, the part below "triton" what a real Triton answered, written by record.py; "ours", where it
stands, is what Tepal answers instead and "because" says why.
"""

import gzip
import hashlib
import http.client
import json
import os
import pathlib
import socket
import struct
import zlib

TIMEOUT_S = 30
RAW_TIMEOUT_S = 3
SHARED_MEMORY = pathlib.Path("/dev/shm")
# What differs from run to run: compared by kind only.
VOLATILE = {"last_inference", "inference_count", "execution_count", "count", "ns", "batch_stats"}


def add_server_arguments(arguments):
    arguments.add_argument("server", metavar="HOST:PORT", help="its HTTP door")
    arguments.add_argument("--grpc", metavar="HOST:PORT", help="its gRPC door")
    arguments.add_argument("--folder", default="cases", help="cases (the default), grpc or explicit")
    arguments.add_argument("--only", help="cases whose name contains this")


class Server:
    def __init__(self, options):
        host, _, port = options.server.rpartition(":")
        self.host, self.port = host or "127.0.0.1", int(port)
        self.grpc = options.grpc


class Case:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.name = self.path.stem
        self.comments, self.request = [], []
        self.triton, self.ours, self.because = None, None, None
        part = self.request
        for line in self.path.read_text(encoding="utf-8").splitlines():
            if line.startswith("#"):
                self.comments.append(line)
                continue
            if not line.strip():
                continue
            word, _, value = line.partition(" ")
            if word == "triton":
                part = self.triton = [("status", value)]
            elif word == "ours":
                part = self.ours = [("status", value)]
            elif word == "because":
                self.because = value
            else:
                part.append((word, value))

    def save(self):
        lines = list(self.comments) + [f"{word} {value}".rstrip() for word, value in self.request]
        for title, answer in (("triton", self.triton), ("ours", self.ours)):
            if answer is None:
                continue
            if title == "ours":
                lines.append(f"because {self.because}")
            lines.append(f"{title} {answer[0][1]}")
            lines += [f"{word} {value}" for word, value in answer[1:]]
        self.path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def first(self, word):
        return next((value for key, value in self.request if key == word), None)

    def body(self):
        body = b""
        for word, value in self.request:
            if word == "body":
                body += value.encode()
            elif word == "body-hex":
                body += bytes.fromhex(value)
            elif word == "body-repeat":
                count, pattern = value.split(" ", 1)
                body += pattern.encode() * int(count)
            elif word == "body-repeat-hex":
                count, pattern = value.split(" ", 1)
                body += bytes.fromhex(pattern) * int(count)
            elif word == "body-gzip":
                body = gzip.compress(body, mtime=0)
            elif word == "body-deflate":
                body = zlib.compress(body)
        return body

    def send(self, server):
        """The answer as the lines of a case: [("status", "200"), ("json", "{…}"), …]."""
        for word, value in self.request:
            if word == "shared-memory":
                key, size, content = value.split(" ")
                write_shared(key, bytes.fromhex(content).ljust(int(size), b"\0"))
        if self.first("grpc") is not None:
            import grpc_call
            answer = grpc_call.exchange(self, server.grpc, mask)
        else:
            answer = self.exchange(server.host, server.port)
        for word, value in self.request:
            if word == "shared-memory-show":
                key, offset, size = value.split(" ")
                content = (SHARED_MEMORY / key.lstrip("/")).read_bytes()
                answer.append(("memory", content[int(offset):][:int(size)].hex()))
            elif word == "shared-memory-remove":
                (SHARED_MEMORY / value.lstrip("/")).unlink(missing_ok=True)
        return answer

    def exchange(self, host, port):
        raw = self.first("raw")
        if raw is not None:
            return send_raw(host, port, raw)
        method, target = self.first("request").split(" ", 1)
        headers = {"Host": f"{host}:{port}"}
        for word, value in self.request:
            if word == "header":
                name, _, text = value.partition(": ")
                headers[name] = text
        body = self.body()
        if body or method in ("POST", "PUT"):
            headers.setdefault("Content-Length", str(len(body)))
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S * 4)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, text in headers.items():
                connection.putheader(name, text)
            connection.endheaders()
            if body:
                connection.send(body)
            response = connection.getresponse()
            return describe(response.status, dict(response.getheaders()), response.read())
        except (OSError, http.client.HTTPException) as error:
            return [("status", type(error).__name__)]
        finally:
            connection.close()


def write_shared(key, content):
    """In place, never shorter in between: whoever has mapped it may be reading."""
    with open(os.open(SHARED_MEMORY / key.lstrip("/"), os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        file.write(content)
        file.truncate(len(content))


def describe(status, headers, body):
    headers = {name.lower(): value for name, value in headers.items()}
    answer = [("status", str(status))]
    encoding = headers.get("content-encoding")
    if encoding == "gzip":
        body = gzip.decompress(body)
    elif encoding == "deflate":
        body = zlib.decompress(body)
    if encoding:
        answer.append(("encoding", encoding))
    if len(body) > 1 << 20:
        answer.append(("sha256", f"{len(body)} {hashlib.sha256(body).hexdigest()}"))
        return answer
    length = headers.get("inference-header-content-length")
    size = int(length) if length else len(body)
    if size:
        try:
            value = json.loads(body[:size])
            answer.append(("json", json.dumps(mask(value), ensure_ascii=False)))
        except ValueError:
            answer.append(("text", repr(body[:size].decode(errors="replace"))))
    if body[size:]:
        answer.append(("binary", body[size:].hex()))
    return answer


def mask(value, key=None):
    if key in VOLATILE:
        return f"<{type(value).__name__}>"
    if isinstance(value, dict):
        return {name: mask(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [mask(item) for item in value]
    return value


def send_raw(host, port, escaped):
    """Bytes as they are, until the server closes or is silent."""
    data = b""
    for piece in json.loads(escaped):
        data += piece.encode("latin-1") if isinstance(piece, str) else (
            piece[0].encode("latin-1") * piece[1])
    received, ending = b"", "closed"
    with socket.create_connection((host, port), timeout=RAW_TIMEOUT_S) as connection:
        try:
            connection.sendall(data)
            while True:
                chunk = connection.recv(65536)
                if not chunk:
                    break
                received += chunk
        except TimeoutError:
            ending = "open"
        except OSError:
            ending = "reset"
    statuses, answer = [], []
    while received.startswith(b"HTTP/1."):
        head, found, rest = received.partition(b"\r\n\r\n")
        if not found:
            break
        lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        size = int(headers.get("content-length", 0))
        status = lines[0].split(" ")[1]
        statuses.append(status)
        answer += describe(int(status), headers, rest[:size])[1:]
        received = rest[size:]
    if received[3:4] == b"\x04":  # A SETTINGS frame, which opens a connection of HTTP/2.
        statuses.append("HTTP/2")
    elif received:
        ending = f"{len(received)} other bytes, {ending}"
    return [("status", " ".join(statuses + [ending]))] + answer


def canonical(answer):
    """Comparable: JSON by value, NaN equal to NaN, the order of keys free."""
    result = []
    for word, value in answer:
        if word == "json":
            value = json.dumps(at_precision(mask(json.loads(value))), sort_keys=True)
        result.append((word, value))
    return result


def at_precision(value):
    """FP32 elements as 32-bit numbers: Triton writes 0.1 as the double 0.10000000149011612."""
    outputs = value.get("outputs") if isinstance(value, dict) else None
    for output in outputs if isinstance(outputs, list) else []:
        if output.get("datatype") == "FP32" and "data" in output:
            output["data"] = [struct.unpack("f", struct.pack("f", x))[0] for x in output["data"]]
    return value


def load_all(folder, only=None):
    paths = sorted(pathlib.Path(folder).glob("*.case"))
    return [Case(path) for path in paths if only is None or only in path.stem]
