# Writes indexes of packages as large as usual ones below a directory, and serves it on a port of loopback until it is killed:
# Python (PEP 503) in simple/, Node.js in npm/. Arguments: the directory, the port, how many packages, how many files in each.
import base64
import functools
import hashlib
import http.server
import io
import json
import os
import sys
import tarfile
import zipfile

directory, port, packages, files = sys.argv[1], *map(int, sys.argv[2:])
PYTHON = "".join(f"def function{n}(first, second=None):\n    if second is None:\n        second = [first, {n}]\n    return {{'{n}': first, 'all': second}}\n\n\n" for n in range(40))
NODE = "".join(f"exports.function{n} = (first, second = [{n}]) => ({{ first, second }});\n" for n in range(80))


def wheel(name):
    os.makedirs(f"{directory}/simple/{name}")
    file = f"{name}-1.0-py3-none-any.whl"
    record = []
    with zipfile.ZipFile(f"{directory}/simple/{name}/{file}", "w", zipfile.ZIP_DEFLATED) as archive:
        def add(path, text):
            archive.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            record.append(f"{path},sha256={digest},{len(text)}\n")
        add(f"{name}/__init__.py", "")
        for number in range(files):
            add(f"{name}/m{number}.py", PYTHON)
        info = f"{name}-1.0.dist-info"
        add(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        add(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "".join(record) + f"{info}/RECORD,,\n")
    with open(f"{directory}/simple/{name}/index.html", "w") as page:
        page.write(f'<a href="{file}">{file}</a>')


def tarball(name):
    os.makedirs(f"{directory}/npm/files", exist_ok=True)
    path = f"npm/files/{name}-1.0.0.tgz"
    manifest = {"name": name, "version": "1.0.0"}
    with tarfile.open(f"{directory}/{path}", "w:gz") as archive:
        texts = {"package.json": json.dumps(manifest)} | {f"m{number}.js": NODE for number in range(files)}
        for file, text in texts.items():
            entry = tarfile.TarInfo(f"package/{file}")
            entry.size, entry.mode = len(text.encode()), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    content = open(f"{directory}/{path}", "rb").read()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    dist = {"tarball": f"http://host.internal:{port}/{path}", "integrity": integrity}
    with open(f"{directory}/npm/{name}", "w") as document:
        json.dump({"name": name, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": manifest | {"dist": dist}}}, document)


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"


for number in range(packages):
    wheel(f"python{number}")
    tarball(f"node{number}")
handler = functools.partial(Handler, directory=directory)
http.server.ThreadingHTTPServer(("127.0.0.1", port), handler).serve_forever()
