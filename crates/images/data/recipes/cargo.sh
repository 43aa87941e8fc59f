# Programs from crates. $@: `name` or `name@version`.
set -eu
need cargo cargo
need cc gcc libc6-dev
export CARGO_HOME=/tmp/cargo CARGO_TARGET_DIR=/tmp/cargo-target
if [ -n "${CARGO_MIRROR:-}" ]; then
    mkdir -p "$CARGO_HOME"
    printf '[source.crates-io]\nreplace-with = "mirror"\n[source.mirror]\nregistry = "sparse+%s"\n' "$CARGO_MIRROR" > "$CARGO_HOME/config.toml"
fi
cargo install --list --root /usr/local | grep -v '^ ' > /tmp/before || true
cargo install --locked --root /usr/local -- "$@"
cargo install --list --root /usr/local | grep -v '^ ' > /tmp/after
grep -vxFf /tmp/before /tmp/after | sed -n 's/^\([^ ]*\) v\([^ :]*\).*/\1\t\2/p' > "$REPORT" || true
