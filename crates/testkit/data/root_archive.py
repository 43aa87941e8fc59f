"""Writes the archive of a root file system of one program (busybox), or an OCI layer, with entries that the caller adds.

usage: root_archive.py FILE JSON: a list of {"name", "content" | "link" | "hardlink" | "directory" | "device", "mode", "owner"},
or {"program"}: one of this machine's by its path, with the libraries that it needs;
with {"bare": true} first, the archive has nothing else; a name that ends in .gz is compressed.
"""

import io
import json
import re
import subprocess
import sys
import tarfile

path, added = sys.argv[1], json.loads(sys.argv[2])
bare = bool(added) and added[0].get("bare", False)


def info(name, mode=0o755, kind=tarfile.REGTYPE, link="", size=0, owner=0):
    made = tarfile.TarInfo(name)
    made.mode, made.type, made.linkname, made.size = mode, kind, link, size
    made.uid = made.gid = owner
    return made


with tarfile.open(path, "w:gz" if path.endswith(".gz") else "w") as archive:
    if not bare:
        for directory in ["./", "./bin", "./etc", "./usr", "./usr/bin", "./var", "./var/lib"]:
            archive.addfile(info(directory, kind=tarfile.DIRTYPE))
        with open("/bin/busybox", "rb") as busybox:
            content = busybox.read()
        archive.addfile(info("./bin/busybox", size=len(content)), io.BytesIO(content))
        for name in ["sh", "cat", "ls", "stat", "id", "readlink", "touch", "find", "wc"]:
            archive.addfile(info(f"./bin/{name}", kind=tarfile.SYMTYPE, link="busybox"))
        accounts = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
        archive.addfile(info("./etc/passwd", 0o644, size=len(accounts)), io.BytesIO(accounts))
        name = b"a base of one program\n"
        archive.addfile(info("./etc/base-name", 0o644, size=len(name)), io.BytesIO(name))
    for entry in added[1:] if bare else added:
        if "program" in entry:
            needed = subprocess.run(["ldd", entry["program"]], capture_output=True, text=True, check=True).stdout
            for file in [entry["program"], *re.findall(r"(/\S+) \(0x", needed)]:
                with open(file, "rb") as program:
                    content = program.read()
                archive.addfile(info(f".{file}", size=len(content)), io.BytesIO(content))
            continue
        name, mode, owner = entry["name"], entry.get("mode", 0o755), entry.get("owner", 0)
        if "link" in entry:
            archive.addfile(info(name, kind=tarfile.SYMTYPE, link=entry["link"]))
        elif "hardlink" in entry:
            archive.addfile(info(name, kind=tarfile.LNKTYPE, link=entry["hardlink"]))
        elif "directory" in entry:
            archive.addfile(info(name, mode, tarfile.DIRTYPE, owner=owner))
        elif "device" in entry:
            made = info(name, mode, tarfile.CHRTYPE)
            made.devmajor, made.devminor = 1, 3
            archive.addfile(made)
        else:
            content = entry.get("content", "").encode()
            archive.addfile(info(name, mode, size=len(content), owner=owner), io.BytesIO(content))
