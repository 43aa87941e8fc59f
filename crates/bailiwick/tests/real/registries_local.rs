//! Packages from registries of this machine that the test makes: every manager can be given another one than the public one, and what it installs is
//! there by its name.

use std::path::Path;
use std::time::Duration;

use bailiwick_testkit::{Bailiwick, FileServer, Outcome};
use tempfile::TempDir;

use crate::registries::install_toolchain;
use crate::support::{everyone, on_host};

/// A compiler runs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(200);

/// A registry that a script makes in an empty directory, served as a service of this host.
struct LocalRegistry {
    server: FileServer,
    _directory: TempDir,
}

impl LocalRegistry {
    fn make(script: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        let server = FileServer::start(directory.path());
        let made = on_host(&format!(
            "set -e; cd {}; PORT={}; export HOME=$PWD; {script}\necho made",
            directory.path().display(),
            server.port()
        ));
        assert!(made.ends_with("made\n"), "{made}");
        Self {
            server,
            _directory: directory,
        }
    }

    fn url(&self) -> String {
        format!("http://host.internal:{}/", self.server.port())
    }
}

/// Runs a script in a `limited` environment with these packages from these registries.
fn run(
    bailiwick: &Bailiwick,
    registries: &[(&str, &LocalRegistry)],
    packages: &str,
    script: &str,
) -> Outcome {
    let environment = format!(
        "name: local\nconfig:\n  type: cloud\n  networking:\n    type: limited\n    allow_package_managers: true\n  packages: {packages}\n"
    );
    let mut run = bailiwick.run().environment(&environment).patience(PATIENCE);
    for (manager, registry) in registries {
        let url = registry.url();
        run = run.option("--registry").option(format!("{manager}={url}"));
    }
    run.script(script)
}

/// Two gems, one of which needs the other, and their index.
const GEMS: &str = r#"
gem() { command gem "$@" > gem.log 2>&1 || { cat gem.log; exit 1; }; }
mkdir -p lib bin gems
spec() { # NAME VERSION MORE
    printf 'Gem::Specification.new do |s|\n s.name = "%s"; s.version = "%s"; s.summary = "A test."; s.authors = ["x"]\n %s\nend\n' "$@" > "$1.gemspec"
    gem build "$1.gemspec"
}
echo 'module BwWords; def self.hello = "hello from a gem"; end' > lib/bw_words.rb
printf '#!/usr/bin/env ruby\nrequire "bw_words"\nputs BwWords.hello\n' > bin/bw-greet
chmod 755 bin/bw-greet
# Readable by its maker alone, as some publish theirs.
chmod 600 lib/bw_words.rb
spec bw-words 2.0.1 's.files = ["lib/bw_words.rb"]'
spec bw-greet 1.2.0 's.files = ["bin/bw-greet"]; s.executables = ["bw-greet"]; s.add_dependency "bw-words", "~> 2.0"'
mv ./*.gem gems/
gem generate_index --directory .
"#;

/// Two modules, one of which needs the other, as a module proxy has them (go.dev/ref/mod#goproxy-protocol).
const MODULES: &str = r#"
module() { # PATH VERSION, from ./source
    mkdir -p "$1/@v"
    echo "$2" > "$1/@v/list"
    echo "{\"Version\":\"$2\",\"Time\":\"2024-01-01T00:00:00Z\"}" | tee "$1/@v/$2.info" > "$1/@latest"
    cp source/go.mod "$1/@v/$2.mod"
    (cd source && python3 - "../$1/@v/$2.zip" "$1@$2" << 'END'
import pathlib, sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as archive:
    for file in sorted(path for path in pathlib.Path(".").rglob("*") if path.is_file()):
        archive.write(file, f"{sys.argv[2]}/{file}")
END
    )
    rm -r source
}
mkdir source
printf 'module words.example.com/words\n\ngo 1.18\n' > source/go.mod
printf 'package words\n\nfunc Hello() string { return "hello from a module" }\n' > source/words.go
module words.example.com/words v1.0.3
mkdir -p source/cmd/bw-gogreet
printf 'module greet.example.com/greet\n\ngo 1.18\n\nrequire words.example.com/words v1.0.3\n' > source/go.mod
printf 'package main\n\nimport (\n"fmt"\n"words.example.com/words"\n)\n\nfunc main() { fmt.Println(words.Hello()) }\n' > source/cmd/bw-gogreet/main.go
module greet.example.com/greet v0.4.0
"#;

/// What `bailiwick image show` tells of the layer whose key the run was told.
fn resolved(bailiwick: &Bailiwick, needle: &str) -> String {
    let listed = bailiwick
        .execute(["image", "list", "--format", "json"])
        .success();
    let layers: Vec<serde_json::Value> = serde_json::from_str(&listed.stdout).expect("JSON");
    let own = layers
        .iter()
        .find(|layer| layer.to_string().contains(needle));
    own.unwrap_or_else(|| panic!("no layer with {needle}: {listed:#?}"))["layer"]["resolved"]
        .to_string()
}

#[test]
fn a_gem_of_a_local_index_and_a_program_of_a_local_module_proxy_run_by_their_names() {
    let (gems, modules) = (LocalRegistry::make(GEMS), LocalRegistry::make(MODULES));
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let outcome = run(
            bailiwick,
            &[("gem", &gems), ("go", &modules)],
            "{gem: ['bw-greet:1.2.0'], go: [greet.example.com/greet/cmd/bw-gogreet]}",
            "set -e; bw-greet; bw-gogreet; ruby -e 'require \"bw_words\"; puts \"library\"'; id -un
            command -v bw-greet; command -v bw-gogreet",
        )
        .success();
        assert_eq!(
            outcome.stdout,
            "hello from a gem\nhello from a module\nlibrary\nagent\n/usr/local/bin/bw-greet\n/usr/local/bin/bw-gogreet\n",
            "{outcome:#?}"
        );
        let url = gems.url();
        let of_gem = resolved(bailiwick, &url);
        assert!(
            of_gem.contains("bw-greet") && of_gem.contains("bw-words") && of_gem.contains("2.0.1"),
            "{of_gem}"
        );
        let of_go = resolved(bailiwick, &modules.url());
        assert!(
            of_go.contains("words.example.com/words") && of_go.contains("v0.4.0"),
            "{of_go}"
        );
        assert!(!Path::new("/usr/local/bin/bw-greet").exists());
    }
}

/// A crate without dependencies and its sparse index (The Cargo Book, "Index Format").
const CRATES: &str = r#"
mkdir -p source/src bw/-c files/bw-cargogreet
printf '[package]\nname = "bw-cargogreet"\nversion = "0.3.0"\nedition = "2021"\n' > source/Cargo.toml
printf 'fn main() { println!("hello from a crate"); }\n' > source/src/main.rs
printf 'version = 3\n\n[[package]]\nname = "bw-cargogreet"\nversion = "0.3.0"\n' > source/Cargo.lock
mv source bw-cargogreet-0.3.0
tar -czf files/bw-cargogreet/0.3.0.crate bw-cargogreet-0.3.0
sum=$(sha256sum files/bw-cargogreet/0.3.0.crate | cut -d ' ' -f 1)
echo "{\"dl\":\"http://host.internal:$PORT/files/{crate}/{version}.crate\"}" > config.json
echo "{\"name\":\"bw-cargogreet\",\"vers\":\"0.3.0\",\"deps\":[],\"cksum\":\"$sum\",\"features\":{},\"yanked\":false}" > bw/-c/bw-cargogreet
"#;

/// The part of the public Debian archive that one package needs, as a mirror has it.
const DEBIAN: &str = r#"
fetch() { # PATH
    mkdir -p "$(dirname "$1")"
    chmod -R a+rwX .
    /usr/lib/apt/apt-helper download-file "http://deb.debian.org/debian/$1" "$PWD/$1" > fetch.log 2>&1 || { cat fetch.log; exit 1; }
}
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
packages="dists/$release/main/binary-$(dpkg --print-architecture)/Packages.xz"
fetch "dists/$release/InRelease"
fetch "$packages"
# By their hashes too (Acquire-By-Hash), which is how apt asks.
hash=$(sha256sum "$packages" | cut -d ' ' -f 1)
mkdir -p "$(dirname "$packages")/by-hash/SHA256"
cp "$packages" "$(dirname "$packages")/by-hash/SHA256/$hash"
fetch "$(xz -dc "$packages" | awk '$1 == "Package:" { name = $2 } $1 == "Filename:" && name == "hello" { print $2 }')"
"#;

#[test]
fn a_crate_of_a_local_sparse_index_runs_by_its_name() {
    let crates = LocalRegistry::make(CRATES);
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        install_toolchain(&bailiwick.home());
        let outcome = run(
            bailiwick,
            &[("cargo", &crates)],
            "{cargo: [bw-cargogreet]}",
            "bw-cargogreet",
        )
        .success();
        assert_eq!(outcome.stdout, "hello from a crate\n");
        assert!(resolved(bailiwick, &crates.url()).contains("0.3.0"));
    }
}

#[test]
fn a_debian_mirror_is_asked_instead_of_the_archive_and_refused_if_it_is_not_signed() {
    let mirror = LocalRegistry::make(DEBIAN);
    let (_leaks, all) = everyone();
    for bailiwick in all.iter().filter(|one| one.user().is_root()) {
        let from = |mirror, packages: &str| {
            run(
                bailiwick,
                &[("apt", mirror)],
                packages,
                "hello; grep -rl host.internal /etc/apt; true",
            )
        };
        let outcome = from(&mirror, "{apt: [hello]}").success();
        assert_eq!(outcome.stdout, "Hello, world!\n", "{outcome:#?}");
        let asked = mirror.server.asked();
        assert!(asked.iter().any(|path| path.ends_with(".deb")), "{asked:?}");

        let unsigned = LocalRegistry::make(UNSIGNED);
        let refused = from(&unsigned, "{apt: [bw-unsigned]}");
        assert_eq!(refused.code, 125, "{refused:#?}");
        assert!(refused.stderr.contains("is not signed"), "{refused:#?}");
        let asked = unsigned.server.asked();
        assert!(
            !asked.iter().any(|path| path.ends_with(".deb")),
            "{asked:?}"
        );
    }
}

/// A mirror with a package of one's own, which nobody signed.
const UNSIGNED: &str = r#"
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
mkdir -p package/DEBIAN pool "dists/$release/main/binary-$(dpkg --print-architecture)"
printf 'Package: bw-unsigned\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n' > package/DEBIAN/control
dpkg-deb --root-owner-group --build package pool/bw-unsigned_1_all.deb > deb.log
apt-ftparchive packages pool > "dists/$release/main/binary-$(dpkg --print-architecture)/Packages"
apt-ftparchive -o "APT::FTPArchive::Release::Codename=$release" -o APT::FTPArchive::Release::Components=main \
    -o "APT::FTPArchive::Release::Architectures=$(dpkg --print-architecture)" release "dists/$release" > Release
mv Release "dists/$release/Release"
"#;

/// Builds an image with events; how it ended, and every line of standard error.
fn events(
    bailiwick: &Bailiwick,
    gems: &LocalRegistry,
    packages: &str,
    options: &[&str],
) -> (i32, Vec<serde_json::Value>) {
    let environment = format!("name: events\nconfig:\n  type: cloud\n  packages: {packages}\n");
    let file = bailiwick.write(bailiwick.home().join("events.yaml"), environment);
    let mut arguments = ["image", "build", "--progress", "json", "-f"]
        .map(String::from)
        .to_vec();
    arguments.push(file.display().to_string());
    arguments.extend(["--registry".to_owned(), format!("gem={}", gems.url())]);
    arguments.extend(options.iter().map(ToString::to_string));
    let outcome = bailiwick.execute(arguments);
    let event = |line: &str| {
        serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}: {outcome:#?}"))
    };
    (outcome.code, outcome.stderr.lines().map(event).collect())
}

#[test]
fn a_program_follows_a_build_by_its_events() {
    let gems = LocalRegistry::make(GEMS);
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let (code, told) = events(bailiwick, &gems, "{gem: [bw-greet]}", &[]);
        assert_eq!(code, 0, "{told:#?}");
        assert_eq!(
            told[0],
            serde_json::json!({"event": "begun", "what": "gem", "declared": "bw-greet"})
        );
        let (last, lines) = told[1..].split_last().expect("more");
        assert!(!lines.is_empty() && lines.iter().all(|event| event["event"] == "line"));
        assert!(last["event"] == "done" && last["packages"] == 2, "{last}");
        let (code, again) = events(bailiwick, &gems, "{gem: [bw-greet]}", &[]);
        assert_eq!((code, &again), (0, &vec![last.clone()]));

        let (code, told) = events(bailiwick, &gems, "{gem: [bw-none]}", &[]);
        let failed = told.last().expect("an event");
        assert_eq!(code, 125, "{failed}");
        assert!(
            failed["event"] == "failed" && failed["class"] == "user_error",
            "{failed}"
        );
        let key = failed["key"].as_str().expect("its log's key");
        let log = bailiwick.execute(["image", "log", key]).success();
        assert!(log.stdout.contains("bw-none"), "{log:#?}");

        let (code, told) = events(bailiwick, &gems, "{gem: [bw-words]}", &["--disk", "1KiB"]);
        let failed = told.last().expect("an event");
        assert_eq!(code, 125, "{failed}");
        assert!(
            failed["class"] == "limit" && failed["limit"] == "disk",
            "{failed}"
        );
    }
}
