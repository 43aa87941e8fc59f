//! Whole builds, of packages that a local index serves, so that no network plays a part.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::super::turns::{Contestant, line_up, take};
use crate::os;
use crate::peers::proxies::free_address;
use crate::peers::{Background, Stage};
use crate::report::{BAILIWICK, Better, Report, Row};

const INDEX: &str = include_str!("../../../data/package_index.py");
/// The distribution's interpreter: the one that builds use.
const PYTHON: &str = "/usr/bin/python3";
/// Packages of each manager that there are.
const PACKAGES: u32 = 9;
/// Files in each.
const FILES: u32 = 60;
/// Packages of each manager that an environment has at first.
const DECLARED: u32 = 8;
/// How long the index may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    let index = Index::start(stage)?;
    overhead(stage, &index, report);
    one_more(stage, &index, report);
    Ok(())
}

/// The same packages from the same index, by the package manager alone and by a build.
fn overhead(stage: &Stage, index: &Index, report: &mut Report) {
    let name = "install of 8 Python packages, 500 files";
    let plain: fn(&Stage, &Index) -> Result<Duration> = plain;
    let built: fn(&Stage, &Index) -> Result<Duration> =
        |stage, index| Build::new(stage, index, 0, DECLARED)?.run_and_remove();
    let all = vec![("plain pip", Ok(plain)), (BAILIWICK, Ok(built))];
    let mut contestants = line_up(name, all, report);
    let row = Row::new("image", name, "ms", Better::Lower).aim(
        "bailiwick: less than 1.10 of plain pip, which neither syncs nor locks what it installs",
    );
    let rounds = stage.pick(12, 2);
    take(row, &mut contestants, rounds, report, |install| {
        Ok(vec![milliseconds(install(stage, index)?)])
    });
}

/// An image that is there, and one package more in the environment.
fn one_more(stage: &Stage, index: &Index, report: &mut Report) {
    let name = "build of 8 Node.js and 8 Python packages";
    // How many of each there are in the environment whose build is measured, after that of the first one.
    let again = [
        ("first", None),
        ("one Python package more", Some((DECLARED, PACKAGES))),
        ("one Node.js package more", Some((PACKAGES, DECLARED))),
        ("nothing more", Some((DECLARED, DECLARED))),
    ];
    let mut contestants = again.map(|(name, with)| Contestant { name, with });
    let row = Row::new("image", name, "ms", Better::Lower)
        .aim("what lies below the manager whose packages changed is not built again");
    let rounds = stage.pick(8, 2);
    take(row, &mut contestants, rounds, report, |more| {
        let first = Build::new(stage, index, DECLARED, DECLARED)?;
        let Some((node, python)) = *more else {
            return Ok(vec![milliseconds(first.run_and_remove()?)]);
        };
        let (_, kept) = first.run()?;
        let second = Build::new(stage, index, node, python)?;
        let (took, built) = second.run()?;
        second.remove(&built)?;
        first.remove(&kept)?;
        Ok(vec![milliseconds(took)])
    });
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The indexes, on loopback.
struct Index {
    _server: Background,
    port: u16,
}

impl Index {
    fn start(stage: &Stage) -> Result<Self> {
        let address = free_address()?;
        let (directory, script) = (stage.path("index"), stage.path("package_index.py"));
        fs::create_dir_all(&directory)?;
        fs::write(&script, INDEX)?;
        let mut command = os::command(PYTHON);
        command.arg(&script).arg(&directory);
        command.args([address.port().into(), PACKAGES, FILES].map(|n: u32| n.to_string()));
        let mut server = Background::start(command)?;
        let begun = Instant::now();
        while os::connect(address).is_err() {
            if server.ended() || begun.elapsed() > PATIENCE {
                bail!("the index of packages does not come up");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self {
            _server: server,
            port: address.port(),
        })
    }
}

/// What `pip install` takes by itself, to a directory of its own.
fn plain(stage: &Stage, index: &Index) -> Result<Duration> {
    let target = stage.path("plain");
    let mut command = os::command(PYTHON);
    command
        .args(["-m", "pip", "install", "--no-input", "--no-cache-dir"])
        .args(["--disable-pip-version-check", "--no-warn-script-location"])
        .args([
            "--progress-bar",
            "off",
            "--root-user-action=ignore",
            "--prefix",
        ])
        .arg(&target)
        .args((0..DECLARED).map(|number| format!("python{number}==1.0")))
        .env_clear()
        .env("HOME", stage.path("home"))
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("PIP_BREAK_SYSTEM_PACKAGES", "1")
        .env(
            "PIP_INDEX_URL",
            format!("http://127.0.0.1:{}/simple", index.port),
        );
    let took = timed(&mut command)?.0;
    fs::remove_dir_all(&target)?;
    Ok(took)
}

/// `bailiwick image build` of an environment with so many packages.
struct Build<'a> {
    stage: &'a Stage,
    index: &'a Index,
    environment: std::path::PathBuf,
}

impl<'a> Build<'a> {
    fn new(stage: &'a Stage, index: &'a Index, node: u32, python: u32) -> Result<Self> {
        let environment = stage.path(&format!("packages-{node}-{python}.yaml"));
        let names = |kind: &str, count: u32, pin: &str| {
            let names: Vec<_> = (0..count).map(|n| format!("'{kind}{n}{pin}'")).collect();
            names.join(", ")
        };
        let (node, python) = (
            names("node", node, "@1.0.0"),
            names("python", python, "==1.0"),
        );
        let text = format!(
            "name: builds\nconfig:\n  type: cloud\n  packages: {{npm: [{node}], pip: [{python}]}}\n"
        );
        fs::write(&environment, text)?;
        Ok(Self {
            stage,
            index,
            environment,
        })
    }

    /// How long it took, and the keys of the image's layers, the lowest first.
    fn run(&self) -> Result<(Duration, Vec<String>)> {
        let host = format!("http://host.internal:{}", self.index.port);
        let mut command = self.bailiwick(&["image", "build", "--quiet", "-f"]);
        command.arg(&self.environment);
        command.args(["--registry", &format!("pip={host}/simple")]);
        command.args(["--registry", &format!("npm={host}/npm/")]);
        let (took, printed) = timed(&mut command)?;
        Ok((took, printed.lines().map(str::to_owned).collect()))
    }

    /// Removes what was built and is still there, except layers that another stands on.
    fn remove(&self, keys: &[String]) -> Result<()> {
        for key in keys.iter().rev() {
            let mut command = self.bailiwick(&["image", "remove", key]);
            let output = command.output()?;
            let text = String::from_utf8_lossy(&output.stderr);
            let is_gone_or_shared = text.contains("no layer") || text.contains("stands on it");
            if !output.status.success() && !is_gone_or_shared {
                bail!("cannot remove {key}: {text}");
            }
        }
        Ok(())
    }

    fn run_and_remove(&self) -> Result<Duration> {
        let (took, keys) = self.run()?;
        self.remove(&keys)?;
        Ok(took)
    }

    fn bailiwick(&self, arguments: &[&str]) -> Command {
        let mut command = os::command(Path::new(&self.stage.bailiwick));
        command.args(arguments);
        command.env("XDG_STATE_HOME", self.stage.path("state-of-builds"));
        command
    }
}

/// Runs a command that must succeed; how long it took, and what it printed.
fn timed(command: &mut Command) -> Result<(Duration, String)> {
    command.stdin(Stdio::null());
    let begun = Instant::now();
    let output = command
        .output()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let took = begun.elapsed();
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok((took, String::from_utf8_lossy(&output.stdout).into_owned()))
}
