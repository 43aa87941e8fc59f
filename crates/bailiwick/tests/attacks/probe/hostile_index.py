# An index of Python packages (PEP 503) on loopback with one package in it. Arguments: a directory, the backend, a port of "production".
import functools
import http.server
import io
import json
import os
import sys
import tarfile

directory, backend, production = sys.argv[1:]
os.makedirs(f"{directory}/simple/hostile")
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=directory)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
port = server.server_address[1]
index = f"http://host.internal:{port}/simple/hostile/"
files = {
    "PKG-INFO": "Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n",
    "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    "backend.py": open(backend).read(),
    "ports.json": json.dumps([int(production), index]),
}
with tarfile.open(f"{directory}/simple/hostile/hostile-1.0.tar.gz", "w:gz") as archive:
    for name, text in files.items():
        entry = tarfile.TarInfo(f"hostile-1.0/{name}")
        entry.size = len(text.encode())
        archive.addfile(entry, io.BytesIO(text.encode()))
with open(f"{directory}/simple/hostile/index.html", "w") as page:
    page.write('<a href="hostile-1.0.tar.gz">hostile-1.0.tar.gz</a>')
print(port, flush=True)
server.serve_forever()
