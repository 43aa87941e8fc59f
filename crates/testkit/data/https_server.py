"""An HTTPS server on loopback: answers every request with what it was asked, and prints what it saw, one JSON object a line."""

import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

address, port, certificate, key = sys.argv[1:5]


def say(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = {
            "method": self.command,
            "path": self.path,
            "host": self.headers.get("Host"),
            "headers": dict(self.headers),
            "body": body.decode("utf-8", "replace"),
            "sni": getattr(self.connection, "bailiwick_sni", None),
        }
        say(request=seen)
        answer = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def get_request(self):
        connection, peer = super().get_request()
        say(connection=peer[0])
        return connection, peer

    def finish_request(self, connection, peer):
        # The handshake is made here, in the connection's own thread, so that a silent client holds nobody else up.
        connection.settimeout(30)
        try:
            with context.wrap_socket(connection, server_side=True) as secured:
                super().finish_request(secured, peer)
        except (OSError, ssl.SSLError) as error:
            say(failed=str(error))

    def handle_error(self, *_):
        pass


def remember_name(connection, name, _context):
    connection.bailiwick_sni = name


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
context.sni_callback = remember_name
if ":" in address:
    import socket

    Server.address_family = socket.AF_INET6
server = Server((address, int(port)), Handler)
say(port=server.server_address[1])
server.serve_forever()
