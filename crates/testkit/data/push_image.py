"""Pushes layers as an image to an OCI registry on this machine (OCI distribution specification, "Push") and prints its digest.

usage: push_image.py PORT NAME:TAG LAYER.tar.gz...
"""

import base64
import hashlib
import json
import os
import platform
import sys
import urllib.request

port, (name, tag) = sys.argv[1], sys.argv[2].split(":")
registry = f"http://127.0.0.1:{port}"
login = os.environ.get("LOGIN")
headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}


def request(method, url, data=None, kind="application/octet-stream"):
    url = url if url.startswith("http") else registry + url
    made = urllib.request.Request(url, data=data, method=method, headers={**headers, "Content-Type": kind})
    return urllib.request.urlopen(made)


def blob(content, kind):
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    place = request("POST", f"/v2/{name}/blobs/uploads/", b"").headers["Location"]
    request("PUT", place + ("&" if "?" in place else "?") + "digest=" + digest, content)
    return {"mediaType": kind, "digest": digest, "size": len(content)}


machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
config = {"architecture": machine, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
manifest = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
    "layers": [
        blob(open(layer, "rb").read(), "application/vnd.oci.image.layer.v1.tar+gzip") for layer in sys.argv[3:]
    ],
}
pushed = request("PUT", f"/v2/{name}/manifests/{tag}", json.dumps(manifest).encode(), manifest["mediaType"])
print(pushed.headers["Docker-Content-Digest"])
