# In front of every recipe. $REPORT: where it writes what was installed, a package a line: name, version, source, hash, detail (JSON), with tabs between.
# Standard input: a lock in the same form, or nothing. Every field of it has been checked; none but the last has white space or a pattern in it.
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
umask 022
# $APT_MIRROR: asked instead of the base's sources, for the suites of the base's release and the components that the base uses. It is signed with a key
# that the base trusts, or apt refuses it. Nothing of this stays: the files are outside of what is kept.
if [ -n "${APT_MIRROR:-}" ] && command -v apt-get > /dev/null; then
    release=$(. /etc/os-release && echo "${VERSION_CODENAME:?the base does not say which release it is}")
    used=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2> /dev/null | grep -v '^ *#' | tr -s ' \t' '\n' | sort -u)
    components=main
    for component in contrib non-free non-free-firmware restricted universe multiverse; do
        if echo "$used" | grep -qx "$component"; then components="$components $component"; fi
    done
    for suite in "$release" "$release-updates" "$release-security"; do
        # A mirror may be without the others; without the first one apt says what it could not find.
        if [ "$suite" = "$release" ] || /usr/lib/apt/apt-helper download-file "${APT_MIRROR%/}/dists/$suite/InRelease" \
            /tmp/bailiwick-release > /dev/null 2>&1; then
            echo "deb [target=Packages] $APT_MIRROR $suite $components"
        fi
    done > /tmp/bailiwick-sources.list
    printf 'Dir::Etc::SourceList "/tmp/bailiwick-sources.list";\nDir::Etc::SourceParts "/dev/null";\n' > /tmp/bailiwick-apt.conf
    export APT_CONFIG=/tmp/bailiwick-apt.conf
fi
LOCK=/tmp/bailiwick-lock
cat > "$LOCK"
# Whether there is a lock to build from.
locked() { [ -s "$LOCK" ]; }
# as_locked FILE: fails unless every name and version in the file is in the lock, with the same hash.
as_locked() {
    awk -F '\t' '
        FILENAME == ARGV[1] { hash[$1 FS $2] = $4; next }
        !(($1 FS $2) in hash) { print "bailiwick: error: the lock does not have " $1 " " $2; bad = 1; next }
        hash[$1 FS $2] != $4 { print "bailiwick: error: " $1 " " $2 " has another hash than in the lock"; bad = 1 }
        END { exit bad }
    ' "$LOCK" "$1" >&2
}
# install PACKAGE...: a package manager that the base lacks, from apt.
install() {
    if ! command -v apt-get > /dev/null || [ ! -w /usr/bin ]; then
        echo "bailiwick: the base has no $1, and it cannot be installed here" >&2
        exit 90
    fi
    apt-get --quiet update
    apt-get --quiet --yes --no-install-recommends -o Dpkg::Use-Pty=0 install -- "$@"
    apt-get clean
}
# need COMMAND PACKAGE...: unless the command is there.
need() {
    command=$1
    shift
    command -v "$command" > /dev/null || install "$@"
}
