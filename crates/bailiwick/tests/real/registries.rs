//! The public registries: each package manager works where the environment allows package managers, and is refused where it does not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bailiwick_model::{Reason, Verdict};
use bailiwick_testkit::{Bailiwick, Outcome};

use crate::support::{NODE_TEST, PAYMENTS_DEV, changed, everyone, was_denied, without_registries};

/// Downloads over a slow line.
const PATIENCE: Duration = Duration::from_secs(100);

/// One use of one package manager.
struct Use {
    environments: &'static [&'static str],
    options: &'static [&'static str],
    script: &'static str,
    /// What it prints when it worked.
    printed: fn(&str) -> bool,
    /// The registry that it asks first.
    registry: &'static str,
}

impl Use {
    /// Works in these environments; fails where package managers are not allowed, and says why.
    fn check(&self, prepare: impl Fn(&Bailiwick)) {
        let (_leaks, all) = everyone();
        for bailiwick in &all {
            prepare(bailiwick);
            for environment in self.environments {
                let outcome = self.run(bailiwick, environment).success();
                assert!((self.printed)(&outcome.stdout), "{outcome:#?}");
                let connected = |flow: &&bailiwick_model::Flow| {
                    flow.verdict == Verdict::Allow && flow.bytes_in > 0
                };
                assert!(
                    outcome.flows.iter().any(|flow| connected(&flow)),
                    "{:#?}",
                    outcome.flows
                );
            }
            let refused = self.run(bailiwick, &without_registries());
            assert!(
                refused.code != 0 && !(self.printed)(&refused.stdout),
                "{refused:#?}"
            );
            was_denied(
                &refused,
                self.registry,
                Reason::NoRule,
                "or set `allow_package_managers: true`",
            );
            assert!(
                refused
                    .flows
                    .iter()
                    .all(|flow| flow.verdict == Verdict::Deny),
                "{:#?}",
                refused.flows
            );
        }
    }

    fn run(&self, bailiwick: &Bailiwick, environment: &str) -> Outcome {
        // What is refused is refused at once; how often a program asks again is its own affair.
        let patient = [
            "NPM_CONFIG_FETCH_RETRIES=0",
            "PIP_RETRIES=0",
            "CARGO_NET_RETRY=0",
        ];
        let run = bailiwick.run().environment(environment).patience(PATIENCE);
        let run = patient
            .iter()
            .fold(run, |run, variable| run.option("-e").option(*variable));
        self.options
            .iter()
            .fold(run, |run, option| run.option(*option))
            .script(self.script)
    }
}

#[test]
fn npm_reads_its_registry_where_package_managers_are_allowed_and_not_elsewhere() {
    let npm = Use {
        environments: &[NODE_TEST, PAYMENTS_DEV],
        options: &[],
        script: "npm view --silent typescript@5.4.5 version",
        printed: |text| text.trim() == "5.4.5",
        registry: "registry.npmjs.org",
    };
    npm.check(|_| {});
}

#[test]
fn npm_installs_what_the_example_declares() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        bailiwick.write("package.json", r#"{"name": "x", "version": "1.0.0"}"#);
        let install = "npm install --silent --no-audit --no-fund typescript@5.4.5 && node_modules/.bin/tsc --version";
        let run = bailiwick.run().environment(NODE_TEST).patience(PATIENCE);
        assert_eq!(run.script(install).success().stdout.trim(), "Version 5.4.5");
        let installed = bailiwick
            .workspace()
            .join("node_modules/typescript/package.json");
        assert!(
            installed.exists(),
            "what is installed in the work directory stays"
        );
    }
}

#[test]
fn pip_downloads_where_package_managers_are_allowed_and_not_elsewhere() {
    let pip = Use {
        environments: &[NODE_TEST, PAYMENTS_DEV],
        options: &[],
        script: "/usr/bin/python3 -m pip download --quiet --no-deps --disable-pip-version-check --dest /tmp/wheels pytest==8.3.4 && ls /tmp/wheels",
        printed: |text| text.trim() == "pytest-8.3.4-py3-none-any.whl",
        registry: "pypi.org",
    };
    pip.check(|_| {});
}

#[test]
fn cargo_of_a_toolchain_in_the_users_home_fetches_where_package_managers_are_allowed_and_not_elsewhere()
 {
    let cargo = Use {
        environments: &[NODE_TEST, PAYMENTS_DEV],
        options: &[],
        script: "command -v cargo >&2 && cargo fetch --quiet && ls \"$HOME\"/.cargo/registry/cache/*",
        printed: |text| text.trim() == "itoa-1.0.11.crate",
        registry: "index.crates.io",
    };
    cargo.check(|bailiwick| {
        install_toolchain(&bailiwick.home());
        let manifest =
            "[package]\nname = \"x\"\nversion = \"0.1.0\"\n[dependencies]\nitoa = \"=1.0.11\"\n";
        bailiwick.write("Cargo.toml", manifest);
        bailiwick.write("src/main.rs", "fn main() {}\n");
        // A credential beside it, which stays outside.
        bailiwick.write(
            bailiwick.home().join(".cargo/credentials.toml"),
            "[registry]\ntoken = \"secret\"\n",
        );
        let look = bailiwick
            .run()
            .script("cat \"$(dirname \"$(dirname \"$(command -v cargo)\")\")\"/credentials.toml");
        assert!(look.code != 0 && look.stdout.is_empty(), "{look:#?}");
        let cargo = bailiwick.run().script("command -v cargo").success().stdout;
        assert_eq!(
            PathBuf::from(cargo.trim()),
            bailiwick.home().join(".cargo/bin/cargo")
        );
    });
}

#[test]
fn apt_updates_as_root_inside_where_package_managers_are_allowed_and_not_elsewhere() {
    let apt = Use {
        environments: &[NODE_TEST],
        options: &["--root"],
        // Without Error-Mode apt calls a registry that cannot be reached a success.
        script: "apt-get update --quiet -o APT::Update::Error-Mode=any -o Acquire::Retries=0 && apt-cache policy hello",
        printed: |text| text.contains("Candidate: 2."),
        registry: "deb.debian.org",
    };
    apt.check(|_| {});
}

#[test]
fn a_preset_alone_opens_the_registries_too() {
    let (_leaks, all) = everyone();
    let by_preset = changed(
        PAYMENTS_DEV,
        "allow_package_managers: true",
        "allow_package_managers: false",
    );
    let neither = changed(&by_preset, "presets: [common_dependencies]", "presets: []");
    for bailiwick in &all {
        let view = |environment: &str| {
            let run = bailiwick
                .run()
                .environment(environment)
                .option("-e")
                .option("NPM_CONFIG_FETCH_RETRIES=0");
            run.script("npm view --silent typescript@5.4.5 version")
        };
        assert_eq!(view(&by_preset).success().stdout.trim(), "5.4.5");
        was_denied(
            &view(&neither),
            "registry.npmjs.org",
            Reason::NoRule,
            "allowed_hosts",
        );
    }
}

/// A rustup toolchain as rustup lays it out, from the one that builds this test: its programs, their libraries and the standard library.
pub(crate) fn install_toolchain(home: &Path) {
    let sysroot = PathBuf::from(rustc(&["--print", "sysroot"]));
    let name = rustc(&["-vV"]);
    let host = name
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("rustc names its host");
    let toolchain = format!("stable-{host}");
    let to = home.join(".rustup/toolchains").join(&toolchain);
    for program in ["cargo", "rustc"] {
        place(
            &sysroot.join("bin").join(program),
            &to.join("bin").join(program),
        );
    }
    // The standard library, and the linker that some toolchains bring along.
    let of_host = ["lib", "bin", "bin/gcc-ld"].map(|part| format!("lib/rustlib/{host}/{part}"));
    for directory in of_host.iter().map(String::as_str).chain(["lib"]) {
        let Ok(entries) = fs::read_dir(sysroot.join(directory)) else {
            continue;
        };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                place(&entry.path(), &to.join(directory).join(entry.file_name()));
            }
        }
    }
    // What rustup makes itself when it is first run; it is read-only inside.
    ["downloads", "tmp", "update-hashes"]
        .iter()
        .for_each(|name| {
            fs::create_dir_all(home.join(".rustup").join(name)).expect("a directory");
        });
    let settings = format!(
        "default_toolchain = \"{toolchain}\"\nprofile = \"default\"\nversion = \"12\"\n[overrides]\n"
    );
    fs::write(home.join(".rustup/settings.toml"), settings).expect("a file");
    let bin = home.join(".cargo/bin");
    fs::create_dir_all(&bin).expect("a directory");
    match rustup() {
        // The programs in ~/.cargo/bin are all rustup, under other names.
        Some(rustup) => {
            place(&rustup, &bin.join("rustup"));
            ["cargo", "rustc"]
                .iter()
                .for_each(|name| link("rustup", &bin.join(name)));
        }
        None => ["cargo", "rustc"]
            .iter()
            .for_each(|name| link(to.join("bin").join(name), &bin.join(name))),
    }
}

/// A large file at another place, without copying it where that can be.
fn place(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("it is not the root")).expect("a directory");
    if fs::hard_link(from, to).is_err() && !to.exists() {
        fs::copy(from, to).unwrap_or_else(|e| panic!("cannot copy {}: {e}", from.display()));
    }
}

fn link(target: impl AsRef<Path>, at: &Path) {
    if at.symlink_metadata().is_err() {
        symlink(target, at).expect("a link");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the toolchain of the test is asked, beside the product"
)]
fn rustc(arguments: &[&str]) -> String {
    let output = std::process::Command::new("rustc")
        .args(arguments)
        .output()
        .expect("rustc");
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

#[expect(
    clippy::disallowed_methods,
    reason = "where the test's own tools are, beside the product"
)]
fn rustup() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join("rustup"))
        .find(|file| file.is_file())?
        .canonicalize()
        .ok()
}
