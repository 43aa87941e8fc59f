# Debian packages. A name that there is none of is never read as a pattern (Pattern-Only). $@: what to install, `name`, `name=version` or `name/suite`.
set -eu
installed() { dpkg-query --show --showformat='${binary:Package}\t${Version}\n' | sort; }
installed > /tmp/before
# Services of what is installed are not started: there is nobody to run them (invoke-rc.d, policy-rc.d).
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
apt-get --quiet update
apt-get --quiet --yes --no-install-recommends -o Dpkg::Use-Pty=0 -o APT::Cmd::Pattern-Only=true install -- "$@"
apt-get clean
rm -rf /var/lib/apt/lists /var/cache/apt/archives /var/cache/debconf/*-old /var/lib/dpkg/*-old
mkdir -p /var/lib/apt/lists/partial /var/cache/apt/archives/partial
installed > /tmp/after
comm -13 /tmp/before /tmp/after > "$REPORT"
