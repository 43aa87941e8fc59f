# Node packages. $@: `name`, `@scope/name`, with `@version` or a range.
set -eu
need npm npm
export npm_config_cache=/tmp/npm-cache npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false npm_config_loglevel=notice
# A file with another hash than the lock's is fetched again, too; whoever waits need not wait a minute for it.
export npm_config_fetch_retry_mintimeout=1000 npm_config_fetch_retry_maxtimeout=5000
# Each declared package has what it needs below it, as globally installed ones have.
export npm_config_install_strategy=shallow npm_config_omit_lockfile_registry_resolved=false
root=/usr/local/lib
# A project beside the place of global packages: only projects have locks.
stage=$root/.bailiwick-npm
mkdir -p "$stage" "$root/node_modules"
trap 'rm -rf "$stage"' EXIT
cd "$stage"
if locked; then
    node - "$LOCK" "$@" << 'END'
const fs = require("fs");
const [lock, ...specs] = process.argv.slice(2);
const packages = {};
for (const line of fs.readFileSync(lock, "utf8").trimEnd().split("\n")) {
  const [name, version, resolved, integrity, detail] = line.split("\t");
  const { at, ...rest } = JSON.parse(detail).tree;
  const alias = at.endsWith(`node_modules/${name}`) ? {} : { name };
  const from = rest.inBundle ? {} : { resolved, integrity };
  packages[at] = { ...alias, version, ...from, ...rest };
}
const names = specs.map((spec) => spec.slice(0, spec.indexOf("@", 1) < 0 ? undefined : spec.indexOf("@", 1)));
const dependencies = Object.fromEntries(names.map((name) => [name, packages[`node_modules/${name}`].version]));
// In npm's order: a place below another comes behind it, or it is taken for surplus.
const sorted = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1)));
fs.writeFileSync("package.json", JSON.stringify({ dependencies }));
fs.writeFileSync("package-lock.json", JSON.stringify({ lockfileVersion: 3, requires: true, packages: { "": { dependencies }, ...sorted } }));
END
    npm ci --ignore-scripts
else
    echo '{}' > package.json
    npm install --save-exact --ignore-scripts -- "$@"
fi
mv node_modules/.package-lock.json /tmp/tree.json
for module in node_modules/[!.@]* node_modules/@*/*; do
    [ -d "$module" ] || continue
    mkdir -p "$root/$(dirname "$module")"
    rm -rf "${root:?}/$module"
    mv "$module" "$root/$module"
done
cd "$root"
# Programs and scripts of what was installed; a package that need not be there may fail, and is gone then.
node - "$@" > /tmp/rebuild << 'END'
const tree = JSON.parse(require("fs").readFileSync("/tmp/tree.json")).packages;
const declared = process.argv.slice(2).map((spec) => spec.slice(0, spec.indexOf("@", 1) < 0 ? undefined : spec.indexOf("@", 1)));
const lines = new Set(declared.map((name) => `required\t${name}`));
for (const [at, entry] of Object.entries(tree)) {
  const name = entry.name ?? at.slice(at.lastIndexOf("node_modules/") + 13);
  if (entry.hasInstallScript) lines.add(`${entry.optional ? "optional" : "required"}\t${name}@${entry.version}\t${at}`);
}
console.log([...lines].join("\n"));
END
npm rebuild --global --prefix /usr/local -- $(awk -F '\t' '$1 == "required" { print $2 }' /tmp/rebuild)
awk -F '\t' '$1 == "optional" { print $2 FS $3 }' /tmp/rebuild | while read -r spec at; do
    npm rebuild --global --prefix /usr/local -- "$spec" < /dev/null || rm -rf "${root:?}/$at"
done
node - > "$REPORT" << 'END'
const fs = require("fs");
const tree = JSON.parse(fs.readFileSync("/tmp/tree.json")).packages;
const found = Object.entries(tree).filter(([at, entry]) => entry.version && fs.existsSync(at));
const nameAt = (at) => at.slice(at.lastIndexOf("node_modules/") + 13);
const present = new Set(found.map(([at]) => nameAt(at)));
const strength = ["sha512", "sha384", "sha256", "sha1"];
const strongest = (integrity) => strength.map((name) => (integrity ?? "").split(" ").find((one) => one.startsWith(`${name}-`))).find(Boolean) ?? "";
const lists = (entry, names) => names.filter((name) => entry[name]).map((name) => [name, [entry[name]].flat().filter((item) => typeof item === "string")]);
const copies = (entry, names) => names.filter((name) => entry[name]).map((name) => [name, entry[name]]);
const detail = (at, entry) => ({
  tree: Object.fromEntries([
    ["at", at],
    ...copies(entry, ["inBundle", "optional", "peer", "hasInstallScript", "bin", "dependencies", "peerDependencies", "peerDependenciesMeta"]),
    // What is for other systems is not there, and a lock that misses it would not be whole to npm.
    ["optionalDependencies", Object.fromEntries(Object.entries(entry.optionalDependencies ?? {}).filter(([name]) => present.has(name)))],
    ...lists(entry, ["bundleDependencies", "os", "cpu", "libc"]),
  ]),
});
for (const [at, entry] of found) {
  const bundled = entry.inBundle;
  const fields = [entry.name ?? nameAt(at), entry.version, bundled ? "" : entry.resolved ?? "", bundled ? "" : strongest(entry.integrity)];
  console.log([...fields, JSON.stringify(detail(at, entry))].join("\t"));
}
END
