"""A server in the place of another one, that answers as it is told to: well, wrong, late or no more."""
import contextlib
import http.server
import socket
import ssl
import threading
import time

LATE = 90  # Seconds: longer than anybody waits.


class StandIn:
    """An HTTP server that answers by `mode`; with a certificate, over TLS. `answers`: mode -> of a path and a body, status and text."""

    def __init__(self, address, port, answers, certificate=None):
        self.mode, self.asked, self.connections, outer = "good", [], [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                outer.connections.append(self.connection)

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                outer.asked.append((outer.mode, self.path))
                status, text = answers[outer.mode](self.path, body)
                text = text.encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads, allow_reuse_address = True, True

            def handle_error(self, *_):
                pass  # Whoever asked has gone.

        self.server = Server((address, port), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        """As when its process is killed: kept connections end too."""
        self.server.shutdown()
        self.server.server_close()
        for one in self.connections:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def slowly(answer):
    def late(path, body):
        time.sleep(LATE)
        return answer(path, body)
    return late
