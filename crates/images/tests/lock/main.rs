//! Locks at their door: a text of a stranger in, a lock or the reason against it out.

use bailiwick_images::Lock;
use bailiwick_images::lock::{Change, changes};
use bailiwick_model::{PackageManager, PackageSpec, Packages};
use serde_json::{Value, json};

mod attacks;

const DIGITS: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A lock of every manager.
fn whole() -> Value {
    let sha256 = format!("sha256:{DIGITS}");
    let sri = format!("sha512-{}==", "A".repeat(86));
    json!({
        "version": 1,
        "architecture": "x86_64",
        "managers": {
            "apt": {"declared": ["graphviz"], "packages": [
                {"name": "graphviz", "version": "2.42.2-7+deb12u1", "hash": sha256, "source": "http://deb.example.org/graphviz_2.42.2-7%2bdeb12u1_amd64.deb"},
                {"name": "libc6:i386", "version": "2.36-9", "hash": sha256},
            ]},
            "cargo": {"declared": ["hyperfine@^1.18"], "packages": [
                {"name": "autocfg", "version": "1.1.0", "hash": sha256},
                {"name": "hyperfine", "version": "1.18.0", "hash": sha256, "detail": {"program": "hyperfine"}},
            ]},
            "gem": {"declared": ["nokogiri"], "packages": [
                {"name": "nokogiri", "version": "1.16.0", "hash": sha256, "detail": {"platform": "x86_64-linux"}},
            ]},
            "go": {"declared": ["golang.org/x/tools/cmd/goimports@latest"], "packages": [
                {"name": "golang.org/x/tools", "version": "v0.30.0", "hash": format!("h1:{}=", "A".repeat(43)), "detail": {"program": "golang.org/x/tools/cmd/goimports"}},
            ]},
            "npm": {"declared": ["@types/node@^20", "tsx"], "packages": [
                {"name": "@types/node", "version": "20.1.0", "hash": sri, "source": "https://registry.example.org/@types/node/-/node-20.1.0.tgz", "detail": {"tree": {"at": "node_modules/@types/node"}}},
                {"name": "string-width", "version": "4.2.3", "hash": sri, "source": "https://registry.example.org/s.tgz", "detail": {"tree": {"at": "node_modules/tsx/node_modules/string-width-cjs", "optional": true, "os": ["linux"]}}},
                {"name": "tsx", "version": "4.19.2", "hash": sri, "source": "https://registry.example.org/tsx.tgz", "detail": {"tree": {
                    "at": "node_modules/tsx", "bin": {"tsx": "dist/cli.mjs"}, "hasInstallScript": true,
                    "dependencies": {"string-width-cjs": "npm:string-width@^4.2.0", "x": ">=1 <2 || ^3"}, "peerDependenciesMeta": {"x": {"optional": true}},
                }}},
            ]},
            "pip": {"declared": ["flask[async]<3.1"], "packages": [
                {"name": "Flask", "version": "3.0.3", "hash": sha256, "source": "https://files.example.org/flask-3.0.3-py3-none-any.whl"},
            ]},
        }
    })
}

fn packages(specs: &[(PackageManager, &str)]) -> Packages {
    let mut packages = Packages::default();
    for (manager, text) in specs {
        let spec = PackageSpec::parse(*manager, text).expect("a spec");
        packages.add(spec).expect("room");
    }
    packages
}

fn pip_only() -> Lock {
    let mut lock = whole();
    let managers = lock["managers"].as_object_mut().unwrap();
    managers.retain(|name, _| name == "pip");
    Lock::parse(&lock.to_string()).unwrap()
}

#[test]
fn a_lock_is_written_as_it_is_read_whatever_the_order_of_its_entries() {
    let lock = Lock::parse(&whole().to_string()).unwrap();
    let text = lock.to_text();
    assert_eq!(Lock::parse(&text).unwrap().to_text(), text);
    let mut shuffled = whole();
    for part in shuffled["managers"].as_object_mut().unwrap().values_mut() {
        part["packages"].as_array_mut().unwrap().reverse();
        part["declared"].as_array_mut().unwrap().reverse();
    }
    assert_eq!(Lock::parse(&shuffled.to_string()).unwrap(), lock);
    assert!(text.ends_with("}\n"));
}

#[test]
fn a_lock_fits_the_packages_that_it_was_made_for_in_any_order_and_no_others() {
    let npm = |specs: &[&str]| {
        let specs: Vec<_> = specs.iter().map(|s| (PackageManager::Npm, *s)).collect();
        packages(&specs)
    };
    let mut lock = whole();
    let managers = lock["managers"].as_object_mut().unwrap();
    managers.retain(|name, _| name == "npm");
    let lock = Lock::parse(&lock.to_string()).unwrap();
    assert_eq!(
        lock.fits(&npm(&["tsx", "@types/node@^20"]), "x86_64"),
        Ok(())
    );
    let refused =
        |declared, architecture| lock.fits(&declared, architecture).unwrap_err().to_string();
    assert_eq!(
        refused(npm(&["tsx@4", "@types/node@^20"]), "x86_64"),
        "the lock does not fit what the environment declares: npm tsx@4 is not in the lock; npm tsx is in the lock and not declared"
    );
    assert_eq!(
        refused(packages(&[(PackageManager::Pip, "six")]), "x86_64"),
        "the lock does not fit what the environment declares: npm @types/node@^20 is in the lock and not declared; npm tsx is in the lock and not declared; pip six is not in the lock"
    );
    assert_eq!(
        refused(npm(&["tsx", "@types/node@^20"]), "aarch64"),
        "the lock is for x86_64 and this machine is aarch64: hashes are of files for one of them"
    );
}

#[test]
fn what_is_kept_of_a_lock_are_the_managers_whose_packages_are_declared_as_they_were() {
    let declared = packages(&[
        (PackageManager::Pip, "flask[async]<3.1"),
        (PackageManager::Npm, "tsx"),
    ]);
    let lock = Lock::parse(&whole().to_string()).unwrap();
    assert_eq!(lock.clone().fitting(&declared, "x86_64"), pip_only());
    assert_eq!(lock.fitting(&declared, "aarch64").iter().count(), 0);
}

#[test]
fn changes_are_told_by_name_with_all_versions() {
    let package = |name: &str, version: &str| bailiwick_images::ResolvedPackage {
        name: name.into(),
        version: version.into(),
        source: None,
        hash: None,
        detail: None,
    };
    let before = [
        package("a", "1"),
        package("b", "1"),
        package("c", "1"),
        package("d", "2"),
    ];
    let after = [
        package("a", "2"),
        package("b", "1"),
        package("b", "2"),
        package("d", "2"),
        package("e", "1"),
    ];
    let told: Vec<String> = changes(&before, &after)
        .iter()
        .map(Change::to_string)
        .collect();
    assert_eq!(told, ["a 1 -> 2", "b 1 -> 1, 2", "c 1 (gone)", "e 1 (new)"]);
    assert!(changes(&after, &after).is_empty());
}
