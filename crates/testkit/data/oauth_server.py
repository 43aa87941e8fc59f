
# An authorization server and an MCP server behind one name, on loopback; TLS by tls_server.py, which stands above. Refresh tokens are taken
# once: one that comes a second time ends the family (RFC 9700, section 4.14.2). What misbehaves has a path of its own.

#
# It says who it is (RFC 9728, RFC 8414), registers clients and takes codes: `code-` and the challenge that the code is for. What lies about who it
# is stands behind `/mcp/as-`.

import base64
import hashlib
import threading
import time
from urllib.parse import parse_qs, unquote, unquote_plus, urlsplit

address, certificate, key = sys.argv[1:4]
CLIENTS = {"none": None, "basic": "s3cret/+ basic", "post": "s3cret/+ post"}
lock = threading.Lock()
# Access tokens that are taken, refresh tokens that are, and those that were.
access, refresh, used = {"access-0"}, {"refresh-0"}, set()
made = 0
# How often each document about a client was asked for.
asked = {}


def client_of(headers, form):
    """The client that proved who it is, or None."""
    header = headers.get("Authorization") or ""
    if header.startswith("Basic "):
        name, secret = base64.b64decode(header[6:]).decode().split(":", 1)
        name, secret = unquote_plus(name), unquote_plus(secret)
        return name if name == "basic" and CLIENTS["basic"] == secret and "client_id" not in form else None
    name = form.get("client_id")
    if name == "post":
        return name if form.get("client_secret") == CLIENTS["post"] else None
    return name if name == "none" and "client_secret" not in form else None


class Both(Handler):
    protocol_version = "HTTP/1.1"

    def send(self, status, body, kind="application/json", **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_DELETE(self):
        self.do_POST()

    def do_GET(self):
        say(request={"method": "GET", "path": self.path, "headers": dict(self.headers), "body": ""})
        base = f"https://{self.headers['Host']}"
        path = urlsplit(self.path).path
        resource = "/.well-known/oauth-protected-resource"
        if path.startswith(resource):
            about = path.removeprefix(resource)
            _, _, lie = about.partition("/as-")
            issuer = f"{base}/as-{lie}" if lie else base
            said = {"resource": base + ("/elsewhere" if lie == "resource" else about), "authorization_servers": [issuer]}
            if lie == "scopes":
                said["scopes_supported"] = ["s" * 9000]
            if lie == "accent":
                said["scopes_supported"] = ["lire", "\u00e9crire"]
            if lie == "long":
                said["resource"] += "?" + "x" * 2100
            return self.send(200, said)
        server = "/.well-known/oauth-authorization-server"
        if path.startswith(server):
            return self.server_of(base, path.removeprefix(server))
        if path.startswith("/client/"):
            return self.client(base, path)
        self.send(404, {})

    def client(self, base, path):
        """A document about a client, which names another redirect URI once it was asked for so often as its path says."""
        with lock:
            asked[path] = asked.get(path, 0) + 1
            is_new = asked[path] > int(path.removeprefix("/client/"))
        uri = "https://evil.example/cb" if is_new else "https://honest.example/cb"
        self.send(200, {"client_id": base + path, "client_name": "Editor", "redirect_uris": [uri]})

    def server_of(self, base, path):
        lie = path.removeprefix("/as-")
        known = {
            "issuer": base + path,
            "authorization_endpoint": f"{base}/authorize?tenant=1",
            "token_endpoint": f"{base}/token",
            "registration_endpoint": f"{base}/register",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        port = self.headers["Host"].partition(":")[2]
        if lie == "other":
            known["issuer"] = "https://honest.example.com"
        if lie == "plain":
            known["code_challenge_methods_supported"] = ["plain"]
        if lie == "metadata":
            known["token_endpoint"] = "https://169.254.169.254/token"
        if lie == "loopback":
            known["registration_endpoint"] = f"https://127.0.0.1:{port}/register"
        if lie == "http":
            known["token_endpoint"] = known["token_endpoint"].replace("https:", "http:")
        if lie in ("late", "zero"):
            known["token_endpoint"] += f"/{lie}"
        if lie == "client":
            known["registration_endpoint"] += "/long"
        if lie == "script":
            known["authorization_endpoint"] = "javascript:alert(1)"
        if lie == "moved":
            return self.send(307, b"", Location=f"https://127.0.0.1:{port}/.well-known/oauth-authorization-server")
        self.send(200, known)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        url = urlsplit(self.path)
        say(request={"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body})
        if url.path == "/register":
            return self.send(201, {"client_id": "none", "token_endpoint_auth_method": "none"})
        if url.path == "/register/long":
            return self.send(201, {"client_id": "c" * 2000, "token_endpoint_auth_method": "none"})
        if url.path in ("/token", "/token/late", "/token/zero"):
            # Long enough for whoever asked to go away.
            time.sleep(1 if url.path == "/token/late" else 0)
            form = {name: values[-1] for name, values in parse_qs(body, keep_blank_values=True).items()}
            return self.token(form, 0 if url.path == "/token/zero" else 3600)
        lie = url.path.removeprefix("/token").removeprefix("/mcp").strip("/")
        if lie.startswith("as-"):
            named = f'Bearer resource_metadata="https://{self.headers["Host"]}/.well-known/oauth-protected-resource{url.path}"'
            return self.send(401, {}, WWW_Authenticate=named)
        if lie == "":
            return self.mcp(json.loads(body or "{}"))
        if lie == "away":
            return self.send(307, b"", Location=unquote(url.query))
        if lie == "moved":
            return self.send(308, b"", Location="/mcp")
        if lie == "around":
            return self.send(307, b"", Location=self.path)
        if lie == "slow":
            return time.sleep(120)
        if lie == "drip":
            return self.drip()
        if lie == "echo":
            return self.send(int(url.query), f"you sent {body} and {self.headers.get('Authorization')}".encode(), "text/plain")
        if lie == "huge":
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ").encode()
            return self.send(401, token * (3 * 1024 * 1024 // len(token)), "text/" + token.decode())
        if lie == "garbage":
            return self.send(200, b"\xff{\"access_token\": \"leaked-by-garbage\"", "application/json")
        if lie == "evil-token":
            return self.send(200, {"access_token": "a\r\nx-evil: 1", "token_type": "Bearer"})
        if lie == "down":
            return self.send(503, {"error": "temporarily_unavailable"})
        if lie == "forbidden":
            return self.send(403, {"error": "insufficient_scope"})
        if lie == "modern":
            return self.modern(json.loads(body or "{}"))
        self.send(404, {})

    def drip(self):
        """A byte a second, for ever."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        while True:
            self.wfile.write(b":")
            self.wfile.flush()
            time.sleep(1)

    def token(self, form, life):
        global made
        client = client_of(self.headers, form)
        if client is None:
            return self.send(401, {"error": "invalid_client"}, WWW_Authenticate="Basic")
        if form.get("grant_type") == "authorization_code":
            return self.code(form, life)
        if form.get("grant_type") != "refresh_token":
            return self.send(400, {"error": "unsupported_grant_type"})
        # Long enough for another one to come in between.
        time.sleep(0.2)
        with lock:
            shown = form.get("refresh_token")
            if shown in used:
                access.clear()
                refresh.clear()
            if shown not in refresh:
                return self.send(400, {"error": "invalid_grant", "error_description": f"no such token: {shown}"})
            made += 1
            refresh.discard(shown)
            used.add(shown)
            access.clear()
            access.add(f"access-{made}")
            refresh.add(f"refresh-{made}")
            given = {"access_token": f"access-{made}", "token_type": "Bearer", "expires_in": 3600, "refresh_token": f"refresh-{made}"}
        self.send(200, given)

    def code(self, form, life):
        global made
        hashed = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(hashed).decode().rstrip("=")
        with lock:
            if form.get("code") != f"code-{challenge}" or form["code"] in used:
                return self.send(400, {"error": "invalid_grant"})
            used.add(form["code"])
            made += 1
            access.add(f"access-{made}")
            refresh.add(f"refresh-{made}")
            given = {"access_token": f"access-{made}", "token_type": "Bearer", "expires_in": life, "refresh_token": f"refresh-{made}"}
        self.send(200, given)

    def is_let_in(self):
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        with lock:
            known = token in access
        if not known:
            self.send(401, {"error": "invalid_token", "token": token}, WWW_Authenticate='Bearer error="invalid_token"')
        return known

    def mcp(self, message):
        if not self.is_let_in():
            return None
        session = self.headers.get("Mcp-Session-Id")
        if self.command == "DELETE":
            return self.send(204, b"")
        if message.get("method") == "initialize":
            result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}
            return self.send(200, {"jsonrpc": "2.0", "id": message["id"], "result": result}, Mcp_Session_Id="session-1")
        if session != "session-1" or self.headers.get("Mcp-Protocol-Version") != "2025-11-25":
            return self.send(400, {"error": "no session"})
        if "id" not in message:
            return self.send(202, b"")
        result = {"tools": [{"name": "whoami", "inputSchema": {"type": "object"}}]}
        if message["method"] == "tools/call":
            result = {"content": [{"type": "text", "text": f"you came with {self.headers['Authorization']}"}]}
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        self.send(200, f"event: message\ndata: {json.dumps(answer)}\n\n".encode(), "text/event-stream")

    def modern(self, message):
        if not self.is_let_in():
            return None
        if message.get("method") == "initialize":
            error = {"code": -32601, "message": "no such method"}
            return self.send(200, {"jsonrpc": "2.0", "id": message["id"], "error": error})
        version = message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"]
        if version != self.headers.get("Mcp-Protocol-Version") or self.headers.get("Mcp-Method") != "tools/list":
            return self.send(400, {})
        self.send(200, {"jsonrpc": "2.0", "id": message["id"], "result": {"resultType": "complete", "tools": []}})


Server(address, certificate, key, Both).serve()
