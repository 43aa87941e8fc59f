//! Builds that are killed: a hundred times, at every moment of a build.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bailiwick_testkit::{Bailiwick, Child, FileServer, LeakCheck, Outcome};
use tempfile::TempDir;

use crate::images::layer_from;
use crate::support::{PYTHON, everyone, host_command};

/// Builds that are killed, of all users together. Each user has a test, since a hundred builds take minutes.
const KILLS: usize = 102;
/// The fractional part of the golden ratio: its multiples fall evenly between 0 and 1, however many there are.
const SPREAD: f64 = 0.618_033_988_75;
const PATIENCE: Duration = Duration::from_secs(180);

const INDEX: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/attacks/probe/wheel_index.py"
);
const ENVIRONMENT: &str = "name: many\nconfig:\n  type: cloud\n  networking:\n    type: limited\n    allow_package_managers: true\n  packages: {pip: [many==1.0]}\n";
/// Takes every module that the package has.
const USE: &str = "import importlib, many
print(sum(importlib.import_module(f'many.m{n}').NUMBER for n in range(many.MODULES)))";
const SUM: &str = "780\n";

/// A package of many small files, on loopback.
struct Package {
    server: FileServer,
    _directory: TempDir,
}

impl Package {
    fn serve() -> Self {
        let directory = TempDir::new().expect("a directory");
        let made = host_command(PYTHON, bailiwick_testkit::User::current())
            .arg(INDEX)
            .arg(directory.path())
            .status();
        assert!(made.expect("an interpreter").success());
        Self {
            server: FileServer::start(directory.path()),
            _directory: directory,
        }
    }

    fn registry(&self) -> String {
        let port = self.server.port();
        format!("pip=http://host.internal:{port}/simple")
    }

    fn start_build(&self, bailiwick: &Bailiwick, file: &PathBuf) -> Child {
        let mut command = bailiwick.command(["image", "build", "--quiet", "--registry"]);
        command.arg(self.registry()).arg("-f").arg(file);
        Child::start(&mut command)
    }

    /// What a program in the environment sees of the package, which is built first if it is not there.
    fn use_it(&self, bailiwick: &Bailiwick) -> Outcome {
        bailiwick
            .run()
            .environment(ENVIRONMENT)
            .option("--registry")
            .option(self.registry())
            .command([PYTHON, "-c", USE])
    }

    /// Whether the layer is there; if so, that it is right, and that it can be removed.
    fn check_and_remove(&self, bailiwick: &Bailiwick) -> bool {
        let Some(key) = layer_from(bailiwick, self.server.port()) else {
            return false;
        };
        assert_eq!(self.use_it(bailiwick).success().stdout, SUM);
        bailiwick.execute(["image", "remove", &key]).success();
        true
    }
}

/// Builds of the user who stands there among all, who take turns with the kills.
fn kill_builds_of(number: usize) {
    let mut leaks = LeakCheck::begin();
    let all = everyone();
    let Some(bailiwick) = all.get(number) else {
        return eprintln!("skipped: there is no such user here");
    };
    leaks.watch_directory(&bailiwick.sandboxes());
    let package = Package::serve();
    let file = bailiwick.write(bailiwick.home().join("many.yaml"), ENVIRONMENT);
    // The control: those that are left alone end well, and take this long.
    let undisturbed = (0..3).map(|_| {
        let begun = Instant::now();
        let mut build = package.start_build(bailiwick, &file);
        assert_eq!(build.wait(PATIENCE), 0, "{}", build.complained());
        let took = begun.elapsed();
        assert!(package.check_and_remove(bailiwick));
        took
    });
    let mut whole = undisturbed.min().expect("three");
    let (killed, mut finished) = (KILLS.div_ceil(all.len()), 0);
    for number in 0..killed {
        let moment = whole.mul_f64((number as f64 * SPREAD).fract());
        let build = package.start_build(bailiwick, &file);
        std::thread::sleep(moment);
        build.signal(rustix::process::Signal::KILL);
        drop(build);
        if package.check_and_remove(bailiwick) {
            finished += 1;
            // The machine has become quicker.
            whole = moment;
        }
    }
    assert_eq!(package.use_it(bailiwick).success().stdout, SUM);
    assert!(package.check_and_remove(bailiwick));
    println!("{killed} killed, {finished} of them at their end");
    assert!(finished < killed / 2, "{finished} of {killed}");
}

#[test]
fn a_build_that_is_killed_at_any_moment_leaves_nothing_that_counts() {
    kill_builds_of(0);
}

#[test]
fn nor_does_a_killed_build_of_an_ordinary_user() {
    kill_builds_of(1);
}

#[test]
fn nor_does_a_killed_build_of_a_user_with_subordinate_ids() {
    kill_builds_of(2);
}
