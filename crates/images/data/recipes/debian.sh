# A Debian system in /base. $1: the suite; $2: a mirror, if not the public one.
set -eu
if ! command -v mmdebstrap > /dev/null; then
    echo "bailiwick: a base debian:SUITE is made with mmdebstrap, which this host lacks: install the package mmdebstrap" >&2
    exit 90
fi
# Nothing can be mounted in here, and no devices are made: every sandbox has its own.
mmdebstrap --mode=root --variant=minbase --format=directory --include=ca-certificates \
    --skip=check/canrun,check/empty,chroot/mount,output/dev,output/mknod "$1" /base ${2:+"$2"}
dpkg-query --admindir=/base/var/lib/dpkg --show --showformat='${binary:Package}\t${Version}\n' > "$REPORT"
