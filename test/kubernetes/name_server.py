"""The cluster's DNS, as much of it as the tests need: A records of Services, over UDP and TCP, asked of the API server.

It answers as Kubernetes' specification has it: a headless Service's name stands for its ready addresses, another Service's for its
cluster IP; records are good for 5 s. In the network namespace of the thread that makes it. Not CoreDNS: that is one more
program to build, and what is tested here is not the name server.
"""
import json
import socket
import socketserver
import ssl
import struct
import threading
import time
import urllib.error
import urllib.request

DOMAIN = "svc.cluster.local"
TTL = 5
REMEMBERED = 0.5  # An answer of the API server, in seconds.
A, IN, NAME_ERROR, SERVER_FAILURE = 1, 1, 3, 2


def _question(packet):
    """The name that is asked for, its type, and where the question ends."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode().lower())
        at += 1 + packet[at]
    return ".".join(labels), struct.unpack("!H", packet[at + 1:at + 3])[0], at + 5


def _answer(packet, end, addresses, code=0):
    flags = 0x8180 | code  # An answer; recursion was wished for and is there.
    records = b"".join(struct.pack("!HHHIH", 0xC00C, A, IN, TTL, 4) + socket.inet_aton(one) for one in addresses)
    return packet[:2] + struct.pack("!HHHHH", flags, 1, len(addresses), 0, 0) + packet[12:end] + records


class NameServer:
    def __init__(self, address, server, authority, certificate, key):
        self._server = server
        self._context = ssl.create_default_context(cafile=authority)
        self._context.load_cert_chain(certificate, key)
        self._remembered = {}
        outer = self

        class Udp(socketserver.BaseRequestHandler):
            def handle(self):
                packet, out = self.request
                out.sendto(outer._respond(packet), self.client_address)

        class Tcp(socketserver.StreamRequestHandler):
            def handle(self):
                while True:
                    size = self.rfile.read(2)
                    if len(size) < 2:
                        return
                    answer = outer._respond(self.rfile.read(struct.unpack("!H", size)[0]))
                    self.wfile.write(struct.pack("!H", len(answer)) + answer)

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self._servers = [socketserver.ThreadingUDPServer((address, 53), Udp), socketserver.ThreadingTCPServer((address, 53), Tcp)]
        for one in self._servers:
            one.daemon_threads = True
            threading.Thread(target=one.serve_forever, daemon=True).start()

    def stop(self):
        for one in self._servers:
            one.shutdown()
            one.server_close()

    def _respond(self, packet):
        name, kind, end = _question(packet)
        parts = name.removesuffix("." + DOMAIN).split(".")
        if not name.endswith("." + DOMAIN) or len(parts) != 2:
            return _answer(packet, end, [], NAME_ERROR)
        try:
            addresses = self._addresses(*parts)
        except (OSError, ValueError):
            return _answer(packet, end, [], SERVER_FAILURE)
        if addresses is None:
            return _answer(packet, end, [], NAME_ERROR)
        return _answer(packet, end, addresses if kind == A else [])

    def _addresses(self, service, namespace):
        """None: there is no such Service."""
        known = self._remembered.get((service, namespace))
        if known and known[0] > time.monotonic():
            return known[1]
        addresses = self._ask(service, namespace)
        self._remembered[(service, namespace)] = (time.monotonic() + REMEMBERED, addresses)
        return addresses

    def _ask(self, service, namespace):
        try:
            spec = self._get(f"/api/v1/namespaces/{namespace}/services/{service}")["spec"]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise
        if spec.get("clusterIP") != "None":
            return [spec["clusterIP"]]
        slices = self._get(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io/service-name%3D{service}")
        return sorted({address for one in slices["items"] for end in one["endpoints"] or [] if end.get("conditions", {}).get("ready")
                       for address in end["addresses"]})

    def _get(self, path):
        with urllib.request.urlopen(self._server + path, context=self._context, timeout=5) as answer:
            return json.load(answer)
