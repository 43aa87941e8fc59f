# Programs from crates. $@: `name` or `name@version`.
set -eu
need cargo cargo
need cc gcc libc6-dev
export CARGO_HOME=/tmp/cargo CARGO_TARGET_DIR=/tmp/cargo-target
if [ -n "${CARGO_MIRROR:-}" ]; then
    mkdir -p "$CARGO_HOME"
    printf '[source.crates-io]\nreplace-with = "mirror"\n[source.mirror]\nregistry = "sparse+%s"\n' "$CARGO_MIRROR" > "$CARGO_HOME/config.toml"
fi
if locked; then set -- $(awk -F '\t' '$5 != "" { print $1 "@" $2 }' "$LOCK"); fi
cargo install --locked --force --root /usr/local -- "$@"
cargo install --list --root /usr/local | sed -n 's/^\([^ ]*\) v\([^ :]*\).*/\1\t\2/p' > /tmp/programs
for spec in "$@"; do
    awk -F '\t' -v name="${spec%%@*}" '$1 == name' /tmp/programs
done > /tmp/declared
# Every crate that was downloaded: the programs, and what they were built from.
for archive in "$CARGO_HOME"/registry/cache/*/*.crate; do
    case $archive in
        */index.crates.io-*) from=https://static.crates.io/crates ;;
        *) from= ;;
    esac
    printf '%s\t%s\t%s\n' "$(basename "$archive" .crate)" "$from" "$(sha256sum "$archive" | cut -d ' ' -f 1)"
done | awk -F '\t' -v OFS='\t' '
    FILENAME == ARGV[1] { declared[$1 FS $2]; next }
    match($1, /-[0-9]+\.[0-9]+\.[0-9]+/) {
        name = substr($1, 1, RSTART - 1)
        version = substr($1, RSTART + 1)
        print name, version, ($2 ? $2 "/" name "/" $1 ".crate" : ""), "sha256:" $3, ((name FS version) in declared ? "{\"program\":\"" name "\"}" : "")
    }
' /tmp/declared - | sort > "$REPORT"
