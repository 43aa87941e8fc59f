# Programs from Go modules. $@: `path` or `path@version`.
set -eu
need go golang-go ca-certificates
export GOBIN=/tmp/go-bin GOPATH=/tmp/go GOCACHE=/tmp/go-cache GOFLAGS=-modcacherw
mkdir -p "$GOBIN"
for package in "$@"; do
    case $package in
        *@*) go install "$package" ;;
        *) go install "$package@latest" ;;
    esac
done
for program in "$GOBIN"/*; do
    go version -m "$program" | awk -F '\t' '$2 == "mod" || $2 == "dep" { print $3 "\t" $4 "\t\t" $5 }'
done | sort -u > "$REPORT"
cp "$GOBIN"/* /usr/local/bin/
