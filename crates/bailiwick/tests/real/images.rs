//! Packages that an environment declares, from the real registries: there by their plain names, built once, and not built at all if
//! they cannot be had.

use std::time::Duration;

use bailiwick_testkit::{Bailiwick, Outcome};

use crate::registries::install_toolchain;
use crate::support::{everyone, on_host};

/// Downloads over a slow line.
const PATIENCE: Duration = Duration::from_secs(200);

fn environment(packages: &str) -> String {
    format!(
        "name: images\nconfig:\n  type: cloud\n  networking:\n    type: limited\n    allow_package_managers: true\n  packages: {packages}\n"
    )
}

/// Runs a script in an environment with these packages.
fn run(bailiwick: &Bailiwick, packages: &str, script: &str) -> Outcome {
    bailiwick
        .run()
        .environment(&environment(packages))
        .patience(PATIENCE)
        .script(script)
}

#[test]
fn programs_and_libraries_of_npm_and_pip_are_there_by_their_names() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let packages = "{npm: [tsx@4.19.2], pip: ['pytest==8.3.4']}";
        let script = "set -e
            pytest --version; python -c 'import pytest; print(\"library\", pytest.__version__)'
            echo 'const x: number = 41; console.log(\"typescript\", x + 1)' > t.ts; tsx t.ts
            node -e 'console.log(\"resolved\", require.resolve(\"tsx/package.json\"))'; id -un";
        for already_built in [false, true] {
            let outcome = run(bailiwick, packages, script).success();
            for expected in [
                "pytest 8.3.4",
                "library 8.3.4",
                "typescript 42",
                "resolved /usr/local/lib/node_modules/tsx/package.json",
                "agent",
            ] {
                assert!(
                    outcome.stdout.contains(expected),
                    "{expected}: {outcome:#?}"
                );
            }
            if already_built {
                assert!(!outcome.stderr.contains("installing"), "{outcome:#?}");
            }
        }
    }
}

#[test]
fn a_program_of_a_crate_is_built_by_the_toolchain_of_a_home_and_there_by_its_name() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        install_toolchain(&bailiwick.home());
        let outcome = run(
            bailiwick,
            "{cargo: [urlencode@1.0.1]}",
            "urlencode 'a b&c'; command -v urlencode; id -un",
        )
        .success();
        assert_eq!(
            outcome.stdout, "a%20b%26c\n/usr/local/bin/urlencode\nagent\n",
            "{outcome:#?}"
        );
    }
}

#[test]
fn debian_packages_are_installed_over_the_hosts_programs_for_root_alone() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let outcome = run(
            bailiwick,
            "{apt: [hello]}",
            "/usr/bin/hello; dpkg-query --show hello; grep -c agent /etc/passwd; touch /usr/bin/x 2>/dev/null || echo read-only",
        );
        if bailiwick.user().is_root() {
            let outcome = outcome.success();
            assert!(
                outcome.stdout.starts_with("Hello, world!\nhello\t"),
                "{outcome:#?}"
            );
            assert!(outcome.stdout.ends_with("1\nread-only\n"), "{outcome:#?}");
            assert!(!std::path::Path::new("/usr/bin/hello").exists());
        } else {
            assert_eq!(outcome.code, 125, "{outcome:#?}");
            assert!(outcome.stderr.contains("root only"), "{outcome:#?}");
        }
    }
}

#[test]
fn a_debian_package_with_a_setuid_program_is_installed_without_the_bit() {
    let (_leaks, all) = everyone();
    for bailiwick in all.iter().filter(|one| one.user().is_root()) {
        let script = "dpkg-query --show --showformat '${db:Status-Status}\n' at; stat --format '%a %U' /usr/bin/at
            dpkg-deb --version | head -n 1 | cut -c 1-6";
        let outcome = run(bailiwick, "{apt: [at]}", script).success();
        assert_eq!(
            outcome.stdout, "installed\n755 daemon\nDebian\n",
            "{outcome:#?}"
        );
    }
}

#[test]
fn what_cannot_be_had_is_told_with_its_log_and_nothing_is_started() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let outcome = run(bailiwick, "{pip: ['pytest==0.0.0.1']}", "touch started");
        assert_eq!(outcome.code, 125, "{outcome:#?}");
        assert!(
            outcome
                .stderr
                .contains("No matching distribution found for pytest==0.0.0.1")
                || outcome.stderr.contains(
                    "Could not find a version that satisfies the requirement pytest==0.0.0.1"
                ),
            "{outcome:#?}"
        );
        assert!(!bailiwick.workspace().join("started").exists());
        let (_, key) = outcome
            .stderr
            .split_once("bailiwick image log ")
            .expect("the way to the log");
        let key: String = key.chars().take_while(char::is_ascii_hexdigit).collect();
        let log = bailiwick.execute(["image", "log", &key]).success();
        assert!(log.stdout.contains("pytest==0.0.0.1"), "{log:#?}");
    }
}

#[test]
fn what_a_clean_up_could_not_remove_is_told_and_is_a_failure() {
    let (_leaks, all) = everyone();
    // Root's store is that of the whole machine, and others clean up there.
    for bailiwick in all.iter().filter(|one| !one.user().is_root()) {
        let clean_up = || bailiwick.execute(["image", "gc"]);
        let told = clean_up().success();
        assert_eq!(told.stdout, "0 layers removed, 0 B freed, 0 in use\n");
        // A directory where a log is expected does not go away.
        let odd = bailiwick.images().join("logs").join("0a".repeat(32));
        bailiwick.write(odd.join("file"), "x");
        on_host(&format!("touch -d 2020-01-01 {}", odd.display()));
        let told = clean_up().exits(125);
        assert!(told.stderr.contains(&"0a".repeat(32)), "{told:#?}");
        assert!(told.stdout.starts_with("0 layers removed"), "{told:#?}");
    }
}
