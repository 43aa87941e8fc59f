# The build backend (PEP 517) of a package that means harm: what it tries while it is built, it writes into its own wheel.
import json
import os
import socket
import subprocess
import urllib.request
import zipfile


def attempt(what):
    try:
        return f"worked: {what()}"
    except BaseException as error:
        return f"failed: {type(error).__name__}"


def connect(host, port):
    with socket.create_connection((host, port), 5) as stream:
        stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = stream.recv(100)
        if b"200" not in answer:
            raise OSError(answer)
        return "connected"


def outlive():
    if os.fork() == 0:
        os.setsid()
        for descriptor in range(3):
            os.close(descriptor)
        os.execvp("sleep", ["sleep", "77778"])
    return "started"


def flood():
    # More denials than any channel of flows holds.
    refused = 0
    for number in range(4000):
        with socket.socket() as stream:
            stream.settimeout(5)
            try:
                stream.connect((f"10.1.{number // 200}.{number % 200}", 80))
                stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
                refused += b"403" in stream.recv(100)
            except OSError:
                refused += 1
    return refused


def setuid():
    with open("/usr/local/bin/setuid", "w") as file:
        file.write("#!/bin/sh\n")
    os.chmod("/usr/local/bin/setuid", 0o4755)
    return oct(os.stat("/usr/local/bin/setuid").st_mode)


def build_wheel(directory, config_settings=None, metadata_directory=None):
    production, index = json.load(open("ports.json"))
    told = {
        "control": attempt(lambda: urllib.request.urlopen(index, timeout=5).status),
        "production": attempt(lambda: connect("host.internal", production)),
        "loopback": attempt(lambda: connect("127.0.0.1", production)),
        "name": attempt(lambda: connect("api.production.example.com", 443)),
        "another registry": attempt(lambda: connect("registry.npmjs.org", 443)),
        "metadata": attempt(lambda: connect("169.254.169.254", 80)),
        "work directory": attempt(lambda: os.listdir("/workspace")),
        "secret": attempt(lambda: os.environ["HOST_SECRET"]),
        "home of the host": attempt(lambda: open(f"{os.environ['HOME']}/secret").read()),
        "setuid": attempt(setuid),
        "outlive": attempt(outlive),
        "host's programs": attempt(lambda: open("/usr/bin/bailiwick-was-here", "w").close()),
        "flood": attempt(flood),
        "control after the flood": attempt(lambda: urllib.request.urlopen(index, timeout=5).status),
        "mount": attempt(lambda: subprocess.run(["mount", "-t", "tmpfs", "x", "/mnt"], check=True, capture_output=True)),
    }
    name = "hostile-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        wheel.writestr("hostile.py", f"TOLD = {json.dumps(told)!r}\n")
        info = "hostile-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
