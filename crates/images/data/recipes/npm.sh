# Node packages. $@: `name`, `@scope/name`, with `@version` or a range.
set -eu
need npm npm
export npm_config_cache=/tmp/npm-cache npm_config_update_notifier=false
npm install --global --prefix /usr/local --no-fund --no-audit --loglevel=notice -- "$@"
npm ls --global --prefix /usr/local --all --json --long > /tmp/tree.json || true
node -e '
const seen = new Set();
const walk = (dependencies) => {
  for (const [name, found] of Object.entries(dependencies ?? {})) {
    if (!found.version) continue;
    seen.add([name, found.version, found.resolved ?? "", found.integrity ?? ""].join("\t"));
    walk(found.dependencies);
  }
};
walk(JSON.parse(require("fs").readFileSync("/tmp/tree.json")).dependencies);
console.log([...seen].sort().join("\n"));
' > "$REPORT"
