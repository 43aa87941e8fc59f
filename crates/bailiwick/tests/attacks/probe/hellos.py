# ClientHellos for evil.test, cut up and malformed, on connections to api.test. The test writes its port for PORT.
import ssl
def hello(name):
    "What OpenSSL sends."
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try: context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError: pass
    return outgoing.read()
def names(*names, kind=0):
    entries = b"".join(struct.pack("!BH", kind, len(n)) + n for n in names)
    return struct.pack("!3H", 0, len(entries) + 2, len(entries)) + entries
def extension(kind, data):
    return struct.pack("!2H", kind, len(data)) + data
def message(extensions, session=b""):
    body = b"\3\3" + b"r" * 32 + bytes([len(session)]) + session + b"\0\4\x13\1\x13\2\1\0" + struct.pack("!H", len(extensions)) + extensions
    return b"\1" + len(body).to_bytes(3, "big") + body
def records(message, size=16384):
    parts = [message[i:i + size] for i in range(0, len(message), size)]
    return b"".join(b"\x16\3\1" + struct.pack("!H", len(part)) + part for part in parts)
def through(*parts):
    with connect("api.test", PORT) as stream:
        for part in parts:
            stream.sendall(part)
            if len(parts) > 1: time.sleep(0.002 if len(parts) > 9 else 0.02)
        stream.shutdown(socket.SHUT_WR)
        answer = read_all(stream)
        if answer[:1] == b"\x15" or not answer: raise ConnectionResetError(104, "")
        return answer == b"".join(parts)
good, evil = names(b"api.test"), names(b"evil.test")

plain = hello("evil.test")
attacks = dict(
    other=[plain], below=[hello("a.api.test")], above=[hello("test")], suffix=[hello("notapi.test")],
    built=[records(message(evil))], byte_by_byte=[plain[i:i + 1] for i in range(0, 120)] + [plain[120:]],
    tiny_records=[records(message(evil), 1)], records_across_name=[records(message(evil), 60)], slow_records=[records(message(evil), 7)[i:i + 5] for i in range(0, 400, 5)],
    two_extensions=[records(message(good + evil))], two_names=[records(message(names(b"api.test", b"evil.test")))], other_kind=[records(message(names(b"evil.test", kind=1) + good))],
    second_hello=[records(message(good)), records(message(evil))], second_message=[records(message(good) + message(evil))],
    change_cipher_between=[records(message(good)), b"\x14\3\3\0\1\1", records(message(evil))], empty_record_between=[records(message(good)), b"\x16\3\3\0\0", records(message(evil))],
    nul=[records(message(names(b"evil.test\0.api.test")))], nul_after=[records(message(names(b"api.test\0evil.test")))], space=[records(message(names(b"api.test ")))],
    short=[b"\x16\3\1\0\x1d\1\0\0\x19\3\3" + b"x" * 23], empty=[b"\x16\3\1\0\0"], no_message=[b"\x16\3\1\0\1\2"],
    oversized=[records(message(good + extension(21, b"p" * 65000) + evil))], endless=[records(b"\1\xff\xff\xff" + b"x" * 100000)],
    lying_length=[records(b"\1\0\0\4" + message(evil)[4:])], long_extension=[records(message(good)[:-2] + b"\xff\xff")],
    empty_name=[records(message(names(b"")))], high_session=[records(message(evil, b"s" * 33))],
)
for name, parts in attacks.items():
    tell(name, lambda: through(*parts))
for name, data in dict(control=hello("api.test"), case=hello("API.Test"), built_control=records(message(good)), cut_control=records(message(good), 9)).items():
    tell(name, lambda: through(data))
tell("resumed control", lambda: through(records(message(good)), records(message(good))))
tell("no name", lambda: through(hello(None)))
