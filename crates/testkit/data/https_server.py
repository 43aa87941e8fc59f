
# An HTTPS server on loopback that answers every request with what it was asked; TLS by tls_server.py, which stands above.

address, certificate, key = sys.argv[1:4]


class Echo(Handler):
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


def remember_name(connection, name, _context):
    connection.bailiwick_sni = name


server = Server(address, certificate, key, Echo)
server.context.sni_callback = remember_name
server.serve()
