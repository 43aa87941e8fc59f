# Programs from Go modules. $@: `path` or `path@version`.
set -eu
need go golang-go ca-certificates
export GOBIN=/tmp/go-bin GOPATH=/tmp/go GOCACHE=/tmp/go-cache GOFLAGS=-modcacherw
mkdir -p "$GOBIN"
if locked; then set -- $(awk -F '\t' '$5 != "" { split($5, part, "\""); print part[4] "@" $2 }' "$LOCK"); fi
for package in "$@"; do
    case $package in
        *@*) go install "$package" ;;
        *) go install "$package@latest" ;;
    esac
done
proxy=$(go env GOPROXY)
# Capitals in paths are written `!a` (go.dev/ref/mod#goproxy-protocol).
for program in "$GOBIN"/*; do
    go version -m "$program" | awk -F '\t' -v OFS='\t' -v proxy="${proxy%%[,|]*}" '
        function escaped(text,  i, c, out) {
            for (i = 1; i <= length(text); i++) {
                c = substr(text, i, 1)
                out = out (c ~ /[A-Z]/ ? "!" tolower(c) : c)
            }
            return out
        }
        function source(path, version) {
            sub(/\/$/, "", proxy)
            return proxy ~ /^https?:/ ? proxy "/" escaped(path) "/@v/" escaped(version) ".zip" : ""
        }
        $2 == "path" { path = $3 }
        $2 == "mod" { print $3, $4, source($3, $4), $5, "{\"program\":\"" path "\"}" }
        $2 == "dep" { print $3, $4, source($3, $4), $5 }
    '
done | sort -u > "$REPORT"
cp "$GOBIN"/* /usr/local/bin/
