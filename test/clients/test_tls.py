"""TLS and mutual TLS on every door, with the openssl program, curl and tritonclient; certificates change while they are in use."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

from certificates import Authority
from server import Server
from stack import TEPAL, free_ports, stop, wait_for


def tensor(module, value):
    made = module.InferInput("INPUT0", [1, len(value)], "FP32")
    made.set_data_from_numpy(np.array([value], dtype=np.float32))
    return made


def tls_flags(door, certificate, key, *more):
    return [f"--{door}-server-cert={certificate}", f"--{door}-server-key={key}", *more]


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        cls.authority = Authority(cls.folder)
        cls.stranger = Authority(cls.folder, "stranger")
        cls.certificate, cls.key = cls.folder / "live.pem", cls.folder / "live.key"
        cls.install("first")
        cls.client_certificate, cls.client_key = cls.authority.issue("client")
        flags = []
        for door in ("http", "grpc", "metrics"):
            flags += [f"--{door}-use-ssl=true", *tls_flags(door, cls.certificate, cls.key)]
        cls.server = Server(*flags, "--tls-reload-secs=1")
        mutual = []
        for door in ("http", "grpc"):
            mutual += [f"--{door}-use-ssl-mutual=true", *tls_flags(door, cls.certificate, cls.key), f"--{door}-root-cert={cls.authority.certificate}"]
        cls.mutual = Server(*mutual, "--tls-reload-secs=0")

    @classmethod
    def tearDownClass(cls):
        codes = [cls.server.stop(), cls.mutual.stop()]
        cls.scratch.cleanup()
        assert codes == [0, 0], codes

    @classmethod
    def install(cls, name, certificate=True, key=True):
        """Another certificate under the paths that the servers read, each file swapped at once."""
        for wanted, made, live in zip((certificate, key), cls.authority.issue(name), (cls.certificate, cls.key)):
            if wanted:
                shutil.copy(made, f"{live}.new")
                os.replace(f"{live}.new", live)

    def handshake(self, address, *words):
        """What `openssl s_client` says of one connection."""
        run = subprocess.run(["openssl", "s_client", "-connect", address, "-CAfile", str(self.authority.certificate), "-verify_return_error",
                              "-servername", "localhost", *words], input=b"", capture_output=True, timeout=20)
        return run.returncode, (run.stdout + run.stderr).decode(errors="replace")

    def name_served(self, address):
        return next((line for line in self.handshake(address)[1].splitlines() if line.startswith("subject=")), "").removeprefix("subject=CN = ")

    def curl(self, address, path, *words):
        return subprocess.run(["curl", "-sS", "--cacert", str(self.authority.certificate), "-w", " %{http_code} %{http_version}", *words,
                               f"https://{address}{path}"], capture_output=True, text=True, timeout=20)

    def test_openssl_agrees_on_protocol_and_version(self):
        for address in (self.server.http, self.server.grpc, self.server.metrics):
            for offered, chosen in (("h2,http/1.1", "h2"), ("http/1.1", "http/1.1")):
                code, said = self.handshake(address, "-alpn", offered)
                self.assertEqual(code, 0, said)
                self.assertIn("Verify return code: 0 (ok)", said)
                self.assertIn(f"ALPN protocol: {chosen}", said)
        self.assertIn("TLSv1.2", self.handshake(self.server.http, "-tls1_2")[1])
        code, said = self.handshake(self.server.http, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
        self.assertNotEqual(code, 0, said)
        code, said = self.handshake(self.server.http, "-alpn", "spdy/3")
        self.assertNotEqual(code, 0, said)

    def test_curl_speaks_both_versions_of_http(self):
        for words, version in (["--http1.1"], "1.1"), (["--http2"], "2"):
            answer = self.curl(self.server.http, "/v2/models/echo", *words)
            self.assertTrue(answer.stdout.endswith(f" 200 {version}"), answer)
        answer = self.curl(self.server.metrics, "/metrics")
        self.assertIn("nv_inference_count", answer.stdout)
        plain = subprocess.run(["curl", "-sS", f"http://{self.server.http}/v2"], capture_output=True, timeout=20)
        self.assertNotEqual(plain.returncode, 0)

    def test_tritonclient_over_tls(self):
        client = http.InferenceServerClient(self.server.http, ssl=True, ssl_options={"ca_certs": str(self.authority.certificate)})
        np.testing.assert_array_equal(client.infer("echo", [tensor(http, [1, 2])]).as_numpy("OUTPUT0"), [[1, 2]])
        client.close()
        with grpc.InferenceServerClient(self.server.grpc, ssl=True, root_certificates=str(self.authority.certificate)) as client:
            np.testing.assert_array_equal(client.infer("echo", [tensor(grpc, [3, 4])]).as_numpy("OUTPUT0"), [[3, 4]])
        with grpc.InferenceServerClient(self.server.grpc, ssl=True, root_certificates=str(self.stranger.certificate)) as client:
            with self.assertRaises(InferenceServerException):
                client.is_server_live(client_timeout=5)

    def test_mutual_tls_takes_only_known_clients(self):
        known = ["--cert", str(self.client_certificate), "--key", str(self.client_key)]
        certificate, key = self.stranger.issue("intruder")
        self.assertIn(" 200 ", self.curl(self.mutual.http, "/v2/health/ready", *known).stdout)
        self.assertNotIn(" 200 ", self.curl(self.mutual.http, "/v2/health/ready").stdout)
        self.assertNotIn(" 200 ", self.curl(self.mutual.http, "/v2/health/ready", "--cert", str(certificate), "--key", str(key)).stdout)
        roots = str(self.authority.certificate)
        with grpc.InferenceServerClient(self.mutual.grpc, ssl=True, root_certificates=roots, private_key=str(self.client_key),
                                        certificate_chain=str(self.client_certificate)) as client:
            np.testing.assert_array_equal(client.infer("echo", [tensor(grpc, [5])]).as_numpy("OUTPUT0"), [[5]])
        with grpc.InferenceServerClient(self.mutual.grpc, ssl=True, root_certificates=roots) as client:
            with self.assertRaises(InferenceServerException):
                client.is_server_live(client_timeout=5)

    def test_a_changed_certificate_is_seen_by_itself(self):
        with grpc.InferenceServerClient(self.server.grpc, ssl=True, root_certificates=str(self.authority.certificate)) as client:
            self.assertTrue(client.is_server_live())
            self.install("second")
            self.server.wait_until(lambda: {self.name_served(a) for a in (self.server.http, self.server.grpc, self.server.metrics)} == {"second"},
                                   "every door has the new certificate")
            self.assertTrue(client.is_server_live())  # The channel that stands goes on.

    def test_b_bad_files_keep_the_old_certificate(self):
        self.install("third", key=False)  # Its key has not come yet.
        self.server.wait_until(lambda: "could not be loaded again, the old one stays in use" in self.server.log(), "the failure is logged")
        self.assertNotEqual(self.name_served(self.server.http), "third")
        self.certificate.write_text("no certificate")
        self.assertNotEqual(self.name_served(self.server.http), "")
        self.install("fourth")
        self.server.wait_until(lambda: self.name_served(self.server.http) == "fourth", "the next good pair is taken")

    def test_c_a_hang_up_signal_loads_it_again(self):
        before = self.name_served(self.mutual.http)
        self.install("fifth")
        self.assertEqual(self.name_served(self.mutual.http), before)  # Told not to look by itself.
        self.mutual.process.send_signal(signal.SIGHUP)
        self.mutual.wait_until(lambda: self.mutual.log().count("Loaded the certificate of") == 2, "the signal is heeded")
        self.assertEqual(self.name_served(self.mutual.http), "fifth")


class BalancerByFlags(unittest.TestCase):
    """Mutual TLS on both sides of a balancer that has no file."""

    def test_clients_and_endpoints(self):
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            authority, stranger = Authority(folder), Authority(folder, "stranger")
            certificate, key = authority.issue("server")
            client, client_key = authority.issue("client")
            server = Server("--http-use-ssl-mutual=true", *tls_flags("http", certificate, key), f"--http-root-cert={authority.certificate}")
            self.addCleanup(server.stop)
            front, plain = (f"127.0.0.1:{port}" for port in free_ports(2))
            flags = ["--listen-tls", front, "--listen", plain, "--admin=none", f"--tls-cert={certificate}", f"--tls-key={key}", f"--tls-client-ca={authority.certificate}",
                     f"--endpoint=127.0.0.1:{server.http.split(':')[1]}", "--endpoint-tls", f"--endpoint-tls-ca={authority.certificate}",
                     f"--endpoint-tls-cert={client}", f"--endpoint-tls-key={client_key}"]
            with open(folder / "log", "wb") as log:
                process = subprocess.Popen([str(TEPAL), "balance", *flags], stdout=log, stderr=subprocess.STDOUT)
            self.addCleanup(lambda: self.assertEqual(stop(process), 0))
            wait_for(f"http://{plain}/v2/health/ready", process)  # So its endpoint has passed a check over mutual TLS.
            intruder, intruder_key = stranger.issue("intruder")

            def curl(*words):
                return subprocess.run(["curl", "-sS", "--cacert", str(authority.certificate), "-o", "/dev/null", "-w", "%{http_code}", *map(str, words),
                                       f"https://{front}/v2/models/echo"], capture_output=True, text=True, timeout=20).stdout

            self.assertEqual(curl("--cert", client, "--key", client_key), "200")
            self.assertEqual([curl(), curl("--cert", intruder, "--key", intruder_key)], ["000", "000"])


class BadFiles(unittest.TestCase):
    def test_a_server_without_its_certificate_does_not_start(self):
        with self.assertRaisesRegex(RuntimeError, r"(?s)exited with 1: .*HTTPService: reading /absent\.pem"):
            Server("--http-use-ssl", "--http-server-cert=/absent.pem", "--http-server-key=/absent.key")


if __name__ == "__main__":
    unittest.main()
