"""What the TLS servers of tests share. They print what they see, one JSON object a line."""

import json
import socket
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def say(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address, certificate, key, handler):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        if ":" in address:
            self.address_family = socket.AF_INET6
        super().__init__((address, 0), handler)

    def serve(self):
        say(port=self.server_address[1])
        self.serve_forever()

    def get_request(self):
        connection, peer = super().get_request()
        say(connection=peer[0])
        return connection, peer

    def finish_request(self, connection, peer):
        # The handshake is made here, in the connection's own thread, so that a silent client holds nobody else up.
        connection.settimeout(30)
        try:
            with self.context.wrap_socket(connection, server_side=True) as secured:
                super().finish_request(secured, peer)
        except (OSError, ssl.SSLError) as error:
            say(failed=str(error))

    def handle_error(self, *_):
        pass
