//! Ways to start `/bin/true`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Stage, sandboxed};
use crate::os;
use crate::worker::Worker;

/// The command that everybody starts.
const TRUE: &str = "/bin/true";

/// One way: a spawner and the command that it is to start.
#[derive(Debug)]
pub(crate) struct Launcher {
    pub(crate) spawner: Worker,
    pub(crate) command: Vec<String>,
}

/// fork, exec, wait: what a command costs by itself.
pub(crate) fn plain(stage: &Stage) -> Result<Launcher> {
    Ok(Launcher {
        spawner: spawner(stage)?,
        command: words(&[TRUE]),
    })
}

/// bubblewrap with every namespace that it knows, and a view of the host as Bailiwick gives it.
pub(crate) fn bubblewrap(stage: &Stage) -> Result<Launcher> {
    let mut command = bubblewrap_options(stage)?;
    command.push(TRUE.to_owned());
    Ok(Launcher {
        spawner: spawner(stage)?,
        command,
    })
}

/// The same without the command.
pub(crate) fn bubblewrap_options(_: &Stage) -> Result<Vec<String>> {
    let program = os::find("bwrap")
        .context("bwrap is not installed")?
        .display()
        .to_string();
    let options =
        "--unshare-all --die-with-parent --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp";
    Ok(std::iter::once(program.as_str())
        .chain(options.split(' '))
        .map(str::to_owned)
        .collect())
}

/// `bailiwick run`, with a policy in force.
pub(crate) fn bailiwick(stage: &Stage) -> Result<Launcher> {
    let mut command = sandboxed::run_command(stage)?;
    command.extend(words(&["--", TRUE]));
    Ok(Launcher {
        spawner: spawner(stage)?,
        command,
    })
}

/// crun with a bundle that shows the host's programs.
pub(crate) fn crun(stage: &Stage) -> Result<Launcher> {
    Ok(Launcher {
        spawner: spawner_with_cgroup2(stage)?,
        command: crun_command(stage, "bundle", &[TRUE], None)?,
    })
}

/// The same with a shell's command in `/workspace`, which is this directory; and before it, what makes the directory's contents.
pub(crate) fn crun_in(
    stage: &Stage,
    (name, work): (&str, &Path),
    command: &str,
    before: Option<&str>,
) -> Result<Launcher> {
    let inside = ["/bin/sh", "-c", command];
    let mut command = crun_command(stage, name, &inside, Some(work))?;
    if let Some(before) = before {
        let script = format!("{before} && exec \"$0\" \"$@\"");
        command.splice(0..0, words(&["/bin/sh", "-c", &script]));
    }
    Ok(Launcher {
        spawner: spawner_with_cgroup2(stage)?,
        command,
    })
}

fn crun_command(
    stage: &Stage,
    name: &str,
    inside: &[&str],
    work: Option<&Path>,
) -> Result<Vec<String>> {
    let program = os::find("crun").context("crun is not installed")?;
    ensure!(
        rustix::process::geteuid().is_root(),
        "crun is measured as root only"
    );
    let (bundle, state) = (stage.path(name), stage.path("crun-state"));
    make_bundle(&bundle, inside, work)?;
    let mut command = words(&[
        &program.display().to_string(),
        "--cgroup-manager=disabled",
        "--root",
    ]);
    command.extend([
        state.display().to_string(),
        "run".to_owned(),
        "--bundle".to_owned(),
        bundle.display().to_string(),
    ]);
    command.push(format!("{name}-{{n}}"));
    Ok(command)
}

fn spawner(stage: &Stage) -> Result<Worker> {
    Worker::start("a spawner", stage.role("spawner"))
}

/// A spawner that sees only a version 2 hierarchy: crun refuses hybrid ones. The mount is private to the spawner, and made
/// before any clock runs.
fn spawner_with_cgroup2(stage: &Stage) -> Result<Worker> {
    let mut command = os::command("unshare");
    let script = "mount -t cgroup2 none /sys/fs/cgroup && exec \"$0\" spawner";
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .arg(&stage.bench);
    Worker::start("a spawner for crun", command)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// A root file system that is the host's `/usr` and nothing else.
fn make_bundle(bundle: &Path, inside: &[&str], work: Option<&Path>) -> Result<()> {
    let root = bundle.join("rootfs");
    fs::create_dir_all(&root)?;
    for dir in ["usr", "proc", "dev", "tmp", "sys", "workspace"] {
        fs::create_dir_all(root.join(dir))?;
    }
    for link in ["bin", "lib", "lib64", "sbin"] {
        if !root.join(link).exists() {
            symlink(format!("usr/{link}"), root.join(link))?;
        }
    }
    fs::write(bundle.join("config.json"), config(inside, work).to_string())?;
    Ok(())
}

/// An OCI runtime configuration (runtime-spec 1.0.2) with the namespaces that `bwrap --unshare-all` has.
fn config(inside: &[&str], work: Option<&Path>) -> Value {
    let namespaces =
        ["pid", "network", "ipc", "uts", "mount", "cgroup"].map(|kind| json!({"type": kind}));
    let mut config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false, "user": {"uid": 0, "gid": 0}, "args": inside, "cwd": "/", "env": ["PATH=/usr/bin"],
            "noNewPrivileges": true,
            "capabilities": {"bounding": [], "effective": [], "permitted": [], "inheritable": [], "ambient": []},
        },
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [
            {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]},
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"]},
        ],
        "linux": {"namespaces": namespaces},
    });
    if let (Some(work), Some(mounts)) = (work, config["mounts"].as_array_mut()) {
        mounts.push(json!({"destination": "/workspace", "type": "bind", "source": work, "options": ["bind", "rw"]}));
        config["process"]["cwd"] = json!("/workspace");
    }
    config
}
