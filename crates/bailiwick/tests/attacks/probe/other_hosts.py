# Requests for evil.test on connections to api.test:PORT. The test writes its port for PORT.
host, good, evil = "api.test", b"GET /good HTTP/1.1\r\nHost: api.test:PORT\r\n\r\n", b"GET /evil HTTP/1.1\r\nHost: evil.test\r\n\r\n"
def send(*parts):
    # The last answer: a refusal may come after answers to what was good.
    with connect(host, PORT) as stream:
        for part in parts:
            stream.sendall(part)
            time.sleep(0.002 if len(parts) > 9 else 0.05)
        stream.shutdown(socket.SHUT_WR)
        answer = read_all(stream)
        return len(answer.split(b"GET /evil")) - 1
def evil_reached(*parts):
    return bool(send(*parts))
tell("control", lambda: say(host, PORT, good).split(" ")[1])
tell("pipelined control", lambda: send(good + good) == 0)
attacks = dict(
    other=[evil], pipelined=[good + evil], later=[good, evil], byte_by_byte=[evil[i:i+1] for i in range(len(evil))],
    after_body=[b"POST / HTTP/1.1\r\nHost: api.test:PORT\r\nContent-Length: 5\r\n\r\nhello" + evil],
    chunked=[b"POST / HTTP/1.1\r\nHost: api.test:PORT\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + evil],
    smuggled=[b"POST / HTTP/1.1\r\nHost: api.test:PORT\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + evil],
    two_lengths=[b"POST / HTTP/1.1\r\nHost: api.test:PORT\r\nContent-Length: 0\r\nContent-Length: 60\r\n\r\n" + evil],
    two_hosts=[b"GET /evil HTTP/1.1\r\nHost: api.test:PORT\r\nHost: evil.test\r\n\r\n"],
    folded=[b"GET /evil HTTP/1.1\r\nHost: api.test:PORT\r\n\tevil.test\r\n\r\n"],
    spaced=[b"GET /evil HTTP/1.1\r\nHost : evil.test\r\nHost: api.test:PORT\r\n\r\n"],
    none=[b"GET /evil HTTP/1.1\r\n\r\n"], old=[b"GET /evil\r\n\r\n"], old_host=[b"GET /evil HTTP/1.0\r\nHost: evil.test\r\n\r\n"],
    absolute=[b"GET http://evil.test/evil HTTP/1.1\r\nHost: api.test:PORT\r\n\r\n"],
    literal=[b"GET http://169.254.169.254/evil HTTP/1.1\r\nHost: api.test:PORT\r\n\r\n"],
    nul=[b"GET /evil HTTP/1.1\r\nHost: evil.test\0.api.test:PORT\r\n\r\n"], user=[b"GET /evil HTTP/1.1\r\nHost: api.test:PORT@evil.test\r\n\r\n"],
    blank_first=[b"\r\n\r\n" + evil], bare_newlines=[evil.replace(b"\r\n", b"\n")], bare_returns=[evil.replace(b"\r\n", b"\r")],
    lower=[evil.replace(b"GET", b"get")], odd_method=[evil.replace(b"GET /evil", b"FROB /evil GET /evil")], tabs=[evil.replace(b" ", b"\t")],
    prior_knowledge=[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"],
    upgrade=[good.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n") + evil],
    websocket=[good.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n") + evil],
    connect=[b"CONNECT evil.test:443 HTTP/1.1\r\nHost: api.test:PORT\r\n\r\n" + evil], connect_self=[b"CONNECT api.test:PORT HTTP/1.1\r\nHost: api.test:PORT\r\n\r\n" + evil],
    half=[b"GET /evil HTTP/1.1\r\nHost: evil.test\r\n"], expect=[evil.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")],
)
for name, parts in attacks.items():
    tell(name, lambda: evil_reached(*parts))
