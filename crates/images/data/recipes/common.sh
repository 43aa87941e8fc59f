# In front of every recipe. $REPORT: where it writes what was installed, a package a line: name, version, source, hash.
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
umask 022
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
