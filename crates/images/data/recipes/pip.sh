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
python3 -m pip install --no-input --disable-pip-version-check --no-cache-dir --root-user-action=ignore \
    --no-warn-script-location --progress-bar off --report /tmp/report.json -- "$@"
python3 - > "$REPORT" << 'END'
import json

for item in json.load(open("/tmp/report.json"))["install"]:
    metadata, download = item["metadata"], item["download_info"]
    hashes = download.get("archive_info", {}).get("hashes", {})
    digest = f"sha256:{hashes['sha256']}" if "sha256" in hashes else ""
    print(metadata["name"], metadata["version"], download["url"], digest, sep="\t")
END
