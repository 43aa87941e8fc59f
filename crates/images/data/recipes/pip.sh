# Python packages. $@: `name`, `name==version`, `name[extra]>=1,<2`.
set -eu
# The interpreter of the base, not one that somebody's home directory brings along.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
python3 -c 'import pip' 2> /dev/null || install python3 python3-pip
# What `python3` and `python` mean is what the packages were installed for.
[ -e /usr/local/bin/python3 ] || ln -s "$(command -v python3)" /usr/local/bin/python3
[ -e /usr/bin/python ] || [ -e /usr/local/bin/python ] || ln -s python3 /usr/local/bin/python
# Debian marks its Python as managed by apt (PEP 668); this layer is nobody else's. A pip that knows no such option ignores it.
export PIP_BREAK_SYSTEM_PACKAGES=1
if locked; then
    awk -F '\t' '{ print $1 "==" $2 " --hash=" $4 }' "$LOCK" > /tmp/requirements
    set -- --require-hashes --requirement /tmp/requirements
else
    set -- -- "$@"
fi
python3 -m pip install --no-input --disable-pip-version-check --no-cache-dir --root-user-action=ignore \
    --no-warn-script-location --progress-bar off --report /tmp/report.json "$@"
python3 - "$LOCK" > "$REPORT" << 'END'
import importlib.metadata
import json
import sys

there = set()
for item in json.load(open("/tmp/report.json"))["install"]:
    metadata, download = item["metadata"], item["download_info"]
    archive = download.get("archive_info", {})
    # pip before 23.1 has what it computed itself only in the older field.
    kind, _, digits = archive.get("hash", "").partition("=")
    sha256 = archive.get("hashes", {}).get("sha256") or (digits if kind == "sha256" else "")
    digest = f"sha256:{sha256}" if sha256 else ""
    print(metadata["name"], metadata["version"], download["url"], digest, sep="\t")
    there.add(metadata["name"])
# What of a lock the base had already.
for line in open(sys.argv[1]):
    name, version = line.split("\t")[:2]
    if name not in there and importlib.metadata.version(name) == version:
        print(name, version, sep="\t")
END
