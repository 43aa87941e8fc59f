# Debian packages. A name that there is none of is never read as a pattern (Pattern-Only). $@: what to install, `name`, `name=version` or `name/suite`.
set -eu
native=$(dpkg --print-architecture)
# Name and version; the name has its architecture where that is not the machine's.
installed() {
    dpkg-query --show --showformat='${db:Status-Status}\t${Package}\t${Architecture}\t${Version}\n' |
        awk -F '\t' -v native="$native" '$1 == "installed" { print ($3 == native || $3 == "all" ? $2 : $2 ":" $3) FS $4 }' | sort
}
installed > /tmp/before
# Services of what is installed are not started: there is nobody to run them (invoke-rc.d, policy-rc.d).
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
apt-get --quiet update
if locked; then set -- $(awk -F '\t' '{ print $1 "=" $2 }' "$LOCK"); fi
apt="apt-get --quiet --yes --no-install-recommends -o Dpkg::Use-Pty=0 -o APT::Cmd::Pattern-Only=true -o Acquire::ForceHash=SHA256"
# 'URL' NAME_VERSION_ARCHITECTURE.deb SIZE SHA256:DIGITS
$apt --quiet=2 --print-uris install -- "$@" | awk -v OFS='\t' -v native="$native" '
    $2 ~ /\.deb$/ && $4 ~ /^SHA256:/ {
        split(substr($2, 1, length($2) - 4), part, "_")
        gsub(/%3a/, ":", part[2])
        url = $1 ~ /^.https?:/ ? substr($1, 2, length($1) - 2) : ""
        print (part[3] == native || part[3] == "all" ? part[1] : part[1] ":" part[3]), part[2], url, "sha256:" substr($4, 8)
    }' > /tmp/downloads
if locked; then as_locked /tmp/downloads; fi
$apt install -- "$@"
apt-get clean
rm -rf /var/lib/apt/lists /var/cache/apt/archives /var/cache/debconf/*-old /var/lib/dpkg/*-old
mkdir -p /var/lib/apt/lists/partial /var/cache/apt/archives/partial
installed > /tmp/after
# What is new, and what of a lock the base had already.
{
    comm -13 /tmp/before /tmp/after
    cut -f 1,2 "$LOCK" | sort | comm -12 - /tmp/after
} | sort -u | awk -F '\t' '
    FILENAME == ARGV[1] { rest[$1 FS $2] = FS $3 FS $4; next }
    { print $0 rest[$1 FS $2] }
' /tmp/downloads - > "$REPORT"
