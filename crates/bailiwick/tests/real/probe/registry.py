# A registry of Python and Node packages on loopback.
#   registry.py serve DIRECTORY                                      prints its port
#   registry.py publish DIRECTORY PORT MANAGER NAME VERSION TEXT [DEPENDENCY]   puts the package in, or another file in its place
# Each package has TEXT in it, and depends on any version of DEPENDENCY.
import base64
import functools
import gzip
import hashlib
import http.server
import io
import json
import os
import sys
import tarfile
import zipfile


def serve(directory):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=directory)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def publish_pip(directory, port, name, version, text, dependency=None):
    folder = f"{directory}/simple/{name}"
    os.makedirs(folder, exist_ok=True)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    if dependency:
        metadata += f"Requires-Dist: {dependency}\n"
    info = f"{name}-{version}.dist-info"
    contents = {
        f"{name}.py": f"TEXT = {text!r}\nVERSION = {version!r}\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "".join(f"{file},,\n" for file in [f"{name}.py", f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"]),
    }
    with zipfile.ZipFile(f"{folder}/{name}-{version}-py3-none-any.whl", "w") as wheel:
        for file, content in contents.items():
            # With a fixed date: the same contents are the same file.
            wheel.writestr(zipfile.ZipInfo(file), content)
    files = sorted(file for file in os.listdir(folder) if file.endswith(".whl"))
    with open(f"{folder}/index.html", "w") as page:
        page.write("".join(f'<a href="{file}">{file}</a>\n' for file in files))


def publish_npm(directory, port, name, version, text, dependency=None):
    base = f"http://host.internal:{port}"
    package = {"name": name, "version": version, "bin": {name: "cli.js"}, "dependencies": {dependency: "*"} if dependency else {}}
    files = {
        "package.json": json.dumps(package),
        "index.js": f"module.exports = {json.dumps([version, text])};\n",
        "cli.js": '#!/usr/bin/env node\nconsole.log(require("./index.js").join(" "));\n',
    }
    archive = io.BytesIO()
    with gzip.GzipFile(fileobj=archive, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for file, content in files.items():
            entry = tarfile.TarInfo(f"package/{file}")
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content.encode()))
    os.makedirs(f"{directory}/files", exist_ok=True)
    with open(f"{directory}/files/{name}-{version}.tgz", "wb") as out:
        out.write(archive.getvalue())
    sri = "sha512-" + base64.b64encode(hashlib.sha512(archive.getvalue()).digest()).decode()
    package["dist"] = {"tarball": f"{base}/files/{name}-{version}.tgz", "integrity": sri}
    path = f"{directory}/{name}"
    document = json.load(open(path)) if os.path.exists(path) else {"name": name, "versions": {}}
    document["versions"][version] = package
    document["dist-tags"] = {"latest": version}
    with open(path, "w") as out:
        json.dump(document, out)


if sys.argv[1] == "serve":
    serve(sys.argv[2])
else:
    directory, port, manager, *rest = sys.argv[2:]
    {"pip": publish_pip, "npm": publish_npm}[manager](directory, port, *rest)
