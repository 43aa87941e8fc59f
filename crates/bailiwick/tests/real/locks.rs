//! What a lock is for: the same set again where the registry has newer ones, nothing else under the same names, and new ones when they are asked for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bailiwick_testkit::{Bailiwick, Child, Outcome};
use tempfile::TempDir;

use crate::support::{everyone, host_command, on_host};

/// A build asks a registry on this machine.
const PATIENCE: Duration = Duration::from_secs(120);
const REGISTRY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/probe/registry.py");
/// Prints the version of the dependency that pip installed, and what is in it.
const PYTHON_VERSION: &str = "python3 -c 'import bwdep; print(bwdep.VERSION, bwdep.TEXT)'";
/// The same, of the one that npm installed.
const NODE_VERSION: &str =
    "node -p 'require(\"/usr/local/lib/node_modules/bwtop/node_modules/bwdep\").join(\" \")'";

/// A registry of Python and Node packages as a service of this host.
struct Registry {
    directory: TempDir,
    port: u16,
    _server: Child,
}

impl Registry {
    /// With `bwtop`, which depends on any version of `bwdep`, both at their first version.
    fn start() -> Self {
        let directory = TempDir::new().expect("a directory");
        let mut command = host_command("/usr/bin/python3");
        command.args([REGISTRY, "serve"]).arg(directory.path());
        let server = Child::start(&mut command);
        let port = server.wait_for("the registry", |line| line.parse().ok());
        let this = Self {
            directory,
            port,
            _server: server,
        };
        for (manager, version) in [("pip", "1.0"), ("npm", "1.0.0")] {
            this.publish(&format!("{manager} bwtop {version} top bwdep"));
            this.publish(&format!("{manager} bwdep {version} first"));
        }
        this
    }

    fn publish(&self, what: &str) {
        let directory = self.directory.path().display();
        let port = self.port;
        let told = on_host(&format!(
            "/usr/bin/python3 {REGISTRY} publish {directory} {port} {what} && echo done"
        ));
        assert_eq!(told, "done\n");
    }

    /// The options by which it is asked.
    fn options(&self) -> [String; 4] {
        let port = self.port;
        [
            "--registry".to_owned(),
            format!("pip=http://host.internal:{port}/simple"),
            "--registry".to_owned(),
            format!("npm=http://host.internal:{port}/"),
        ]
    }

    /// `bailiwick image VERB -f FILE`.
    fn image(&self, bailiwick: &Bailiwick, verb: &str, file: &Path, more: &[&str]) -> Outcome {
        let mut arguments = vec!["image".to_owned(), verb.to_owned(), "-f".to_owned()];
        arguments.push(file.display().to_string());
        arguments.extend(self.options());
        arguments.extend(more.iter().map(|&text| text.to_owned()));
        bailiwick.execute(arguments)
    }

    /// Runs a script in the environment of the file.
    fn run(&self, bailiwick: &Bailiwick, file: &Path, more: &[&str], script: &str) -> Outcome {
        let mut run = bailiwick.run().patience(PATIENCE);
        run = run.option("-f").option(file);
        for option in self.options() {
            run = run.option(option);
        }
        for option in more {
            run = run.option(*option);
        }
        run.script(script)
    }
}

/// An environment file with these packages, in the home directory.
fn environment(bailiwick: &Bailiwick, name: &str, packages: &str) -> PathBuf {
    let text = format!(
        "name: locks\nconfig:\n  type: cloud\n  networking:\n    type: limited\n    allow_package_managers: true\n  packages: {packages}\n"
    );
    bailiwick.write(bailiwick.home().join(name), text)
}

#[test]
fn a_lock_gives_the_same_set_where_the_registry_has_newer_ones() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let registry = Registry::start();
        let file = environment(
            bailiwick,
            "environment.yaml",
            "{npm: [bwtop], pip: [bwtop]}",
        );
        let missing = registry
            .image(bailiwick, "build", &file, &["--locked"])
            .exits(2);
        assert!(missing.stderr.contains("there is no lock"), "{missing:#?}");
        registry.image(bailiwick, "lock", &file, &[]).success();
        for (manager, version) in [("pip", "1.1"), ("npm", "1.1.0")] {
            registry.publish(&format!("{manager} bwdep {version} second"));
        }
        let versions = format!("{PYTHON_VERSION}; {NODE_VERSION}");
        let locked = registry
            .run(bailiwick, &file, &["--locked"], &versions)
            .success();
        assert_eq!(locked.stdout, "1.0 first\n1.0.0 first\n");
        // The control: without a lock, and not built before, it is the newest.
        let file = environment(bailiwick, "other.yaml", "{pip: [bwtop]}");
        let newest = registry
            .run(bailiwick, &file, &[], PYTHON_VERSION)
            .success();
        assert_eq!(newest.stdout, "1.1 second\n");
    }
}

#[test]
fn an_image_is_resolved_anew_beside_the_one_that_a_sandbox_runs_on() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let registry = Registry::start();
        let file = environment(bailiwick, "environment.yaml", "{pip: [bwtop]}");
        registry.image(bailiwick, "lock", &file, &[]).success();
        let script =
            format!("echo begun; while [ ! -e go ]; do sleep 0.05; done; {PYTHON_VERSION}");
        let mut run = bailiwick
            .run()
            .patience(PATIENCE)
            .option("-f")
            .option(&file);
        for option in registry.options() {
            run = run.option(option);
        }
        let mut child = run.option("--no-lock").start(["sh", "-c", &script]);
        child.wait_for("the sandbox", |line| (line == "begun").then_some(()));
        registry.publish("pip bwdep 1.1 second");
        let changed = registry.image(bailiwick, "refresh", &file, &[]).success();
        assert_eq!(changed.stdout, "pip    bwdep 1.0 -> 1.1\n");
        bailiwick.write("go", "");
        child.wait_for("what it began with", |line| {
            (line == "1.0 first").then_some(())
        });
        assert_eq!(child.wait(PATIENCE), 0);
        for lock in ["--no-lock", "--locked"] {
            let after = registry
                .run(bailiwick, &file, &[lock], PYTHON_VERSION)
                .success();
            assert_eq!(after.stdout, "1.1 second\n", "{lock}");
        }
    }
}

#[test]
fn a_refresh_that_fails_leaves_everything_as_it_was() {
    let version = "python3 -c 'import bwdep; print(bwdep.VERSION)'";
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let registry = Registry::start();
        let file = environment(bailiwick, "environment.yaml", "{pip: [bwtop]}");
        registry.image(bailiwick, "lock", &file, &[]).success();
        let lock = file.with_extension("lock");
        let before = std::fs::read_to_string(&lock).expect("a lock");
        registry.publish("pip bwtop 1.0 top bwmissing");
        let refused = registry.image(bailiwick, "refresh", &file, &[]);
        assert_eq!(refused.code, 125, "{refused:#?}");
        assert_eq!(std::fs::read_to_string(&lock).expect("a lock"), before);
        let kept = registry
            .run(bailiwick, &file, &["--no-lock"], version)
            .success();
        assert_eq!(kept.stdout, "1.0\n");
        assert!(!kept.stderr.contains("installing"), "{kept:#?}");
    }
}

#[test]
fn another_file_under_the_same_version_is_refused_by_its_hash() {
    refuses_another_file("pip", "1.0");
}

#[test]
fn another_archive_under_the_same_version_is_refused_by_its_integrity() {
    refuses_another_file("npm", "1.0.0");
}

fn refuses_another_file(manager: &str, version: &str) {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let registry = Registry::start();
        let packages = format!("{{{manager}: [bwtop]}}");
        let file = environment(bailiwick, "environment.yaml", &packages);
        registry.image(bailiwick, "lock", &file, &[]).success();
        registry.publish(&format!("{manager} bwdep {version} hostile"));
        let refused = registry.image(bailiwick, "build", &file, &["--locked"]);
        assert_eq!(refused.code, 125, "{refused:#?}");
        let said = refused.stderr.to_lowercase();
        assert!(
            said.contains("hash") || said.contains("integrity"),
            "{refused:#?}"
        );
        // The control: the file that was locked.
        registry.publish(&format!("{manager} bwdep {version} first"));
        registry
            .image(bailiwick, "build", &file, &["--locked"])
            .success();
    }
}

#[test]
fn what_a_registry_offers_besides_what_is_locked_is_not_installed() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let registry = Registry::start();
        let file = environment(bailiwick, "surplus.yaml", "{pip: [bwtop]}");
        registry.image(bailiwick, "lock", &file, &[]).success();
        // A lock that somebody has shortened: the dependency is not in it.
        let path = file.with_extension("lock");
        let text = std::fs::read_to_string(&path).expect("a lock");
        let mut lock: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let packages = lock["managers"]["pip"]["packages"]
            .as_array_mut()
            .expect("packages");
        packages.retain(|package| package["name"] == "bwtop");
        assert_eq!(packages.len(), 1);
        bailiwick.write(&path, lock.to_string());
        let refused = registry.image(bailiwick, "build", &file, &[]);
        assert_eq!(refused.code, 125, "{refused:#?}");
        assert!(
            refused.stderr.contains("bwdep") || refused.stderr.contains("hash"),
            "{refused:#?}"
        );
        bailiwick.write(&path, text);
        registry.image(bailiwick, "build", &file, &[]).success();
    }
}

#[test]
fn a_program_inside_cannot_change_the_lock_that_it_was_started_with() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let registry = Registry::start();
        let file = environment(bailiwick, "environment.yaml", "{pip: [bwtop]}");
        let inside = bailiwick.workspace().join("environment.yaml");
        bailiwick.write(&inside, std::fs::read_to_string(&file).expect("the file"));
        registry.image(bailiwick, "lock", &inside, &[]).success();
        let lock = inside.with_extension("lock");
        let before = std::fs::read_to_string(&lock).expect("a lock");
        let script = "echo x > environment.lock; rm -f environment.lock; mv environment.lock y; touch control; ls";
        let outcome = registry.run(bailiwick, &inside, &[], script);
        assert!(outcome.stdout.contains("control"), "{outcome:#?}");
        assert_eq!(std::fs::read_to_string(&lock).expect("a lock"), before);
    }
}

/// The lock of an environment with another hash of its first package.
fn with_another_hash(lock: &Path, manager: &str) -> String {
    let text = std::fs::read_to_string(lock).expect("a lock");
    let mut lock: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let hash = &mut lock["managers"][manager]["packages"][0]["hash"];
    assert!(hash.is_string(), "{text}");
    *hash = format!("sha256:{}", "0".repeat(64)).into();
    lock.to_string()
}

#[test]
fn a_debian_package_with_another_hash_than_the_locks_is_not_unpacked() {
    let (_leaks, all) = everyone();
    // Nobody else can install them: `images::debian_packages_are_installed_over_the_hosts_programs_for_root_alone`.
    for bailiwick in all.iter().filter(|one| one.user().is_root()) {
        let file = environment(bailiwick, "debian.yaml", "{apt: [hello]}");
        let image = |verb: &str| {
            let mut command = bailiwick.command(["image", verb, "-f"]);
            let output = command.arg(&file).output().expect("bailiwick");
            (
                output.status.success(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )
        };
        assert!(image("lock").0);
        let lock = file.with_extension("lock");
        let good = std::fs::read_to_string(&lock).expect("a lock");
        bailiwick.write(&lock, with_another_hash(&lock, "apt"));
        let (built, said) = image("build");
        assert!(
            !built && said.contains("has another hash than in the lock"),
            "{said}"
        );
        let (_, key) = said
            .split_once("bailiwick image log ")
            .expect("the way to the log");
        let key: String = key.chars().take_while(char::is_ascii_hexdigit).collect();
        let log = bailiwick.execute(["image", "log", &key]).success().stdout;
        assert!(!log.contains("Unpacking hello"), "{log}");
        // The control.
        bailiwick.write(&lock, good);
        assert!(image("build").0);
    }
}
