//! Bailiwick itself: commands and clients inside a sandbox with a `limited` policy in force.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Stage;
use super::destination::{Destination, destinations};
use crate::os;
use crate::protocol::{NAMES, Services};
use crate::worker::Worker;

/// The program's name in the sandbox's work directory.
const CLIENT: &str = "bailiwick-bench";

/// `bailiwick run` with a policy and a work directory, without the command.
pub(crate) fn run_command(stage: &Stage) -> Result<Vec<String>> {
    let policy = stage.path("environment.yaml");
    let hosts = NAMES
        .into_array()
        .map(|name| format!("      - {name}\n"))
        .concat();
    let text = format!(
        "name: bench\nconfig:\n  type: cloud\n  networking:\n    type: limited\n    allowed_hosts:\n{hosts}"
    );
    fs::write(&policy, text)?;
    let work = work_directory(stage)?;
    let path = |path: &Path| path.display().to_string();
    let options = [
        "run".to_owned(),
        "--quiet".to_owned(),
        "--file".to_owned(),
        path(&policy),
        "--workdir".to_owned(),
        path(&work),
    ];
    Ok([vec![path(&stage.bailiwick)], options.into()].concat())
}

/// The work directory of all sandboxes, with this program in it.
pub(crate) fn work_directory(stage: &Stage) -> Result<PathBuf> {
    let work = stage.path("work");
    if !work.exists() {
        fs::create_dir_all(&work)?;
        fs::set_permissions(&work, fs::Permissions::from_mode(0o755))?;
        fs::copy(&stage.bench, work.join(CLIENT))?;
    }
    Ok(work)
}

/// A process that launches sandboxes on order, on so many layers.
pub(crate) fn launcher(stage: &Stage, layers: u32) -> Result<Worker> {
    let mut command = stage.role("launcher");
    command.arg("--state").arg(stage.path("state"));
    command.arg("--layers").arg(layers.to_string());
    Worker::start("the launcher", command)
}

/// A process that has sandboxes through the runtime port, in so many hosts or in itself.
pub(crate) fn port(stage: &Stage, hosts: usize) -> Result<Worker> {
    let mut command = stage.role("port");
    command.arg("--state").arg(stage.path("state"));
    command.arg("--hosts").arg(hosts.to_string());
    Worker::start("the port", command)
}

/// A process that holds so many sandboxes: each with a flow if there is a work directory, else idle.
pub(crate) fn held(
    stage: &Stage,
    count: u32,
    work: Option<&Path>,
    destination: &Destination,
) -> Result<Worker> {
    let mut command = stage.role("held");
    command
        .arg("--state")
        .arg(stage.path("state"))
        .arg("--count")
        .arg(count.to_string());
    if let Some(work) = work {
        command.arg("--work").arg(work);
    }
    destinations(
        &mut command,
        &destination.services.map(|address| address.to_string()),
    );
    let mut held = Worker::start("the holder of sandboxes", command)?;
    held.hear::<u32>()?;
    Ok(held)
}

/// A client inside a sandbox, which reaches the destination by name through the relay.
pub(crate) fn client(stage: &Stage, destination: &Destination) -> Result<Worker> {
    let run = run_command(stage)?;
    let (program, options) = run.split_first().context("an empty command")?;
    let work = work_directory(stage)?;
    fs::copy(&destination.certificate, work.join("certificate.pem"))?;
    fs::set_permissions(
        work.join("certificate.pem"),
        fs::Permissions::from_mode(0o644),
    )?;
    let mut command = os::command(program);
    command.args(options);
    for (name, address) in NAMES.zip(destination.services).into_array() {
        command.arg("--resolve").arg(format!("{name}={address}"));
    }
    command.args(["--", "/workspace/bailiwick-bench", "client"]);
    destinations(&mut command, &by_name(destination));
    command.args(["--certificate", "/workspace/certificate.pem"]);
    Worker::start("a client in a sandbox", command)
}

fn by_name(destination: &Destination) -> Services<String> {
    let by_name = NAMES.zip(destination.services);
    by_name.map(|(name, address)| format!("{name}:{}", address.port()))
}

/// The same, with a credential for the HTTPS service that the client sends the placeholder of.
pub(crate) fn client_with_credential(stage: &Stage, destination: &Destination) -> Result<Worker> {
    let run = run_command(stage)?;
    let (program, options) = run.split_first().context("an empty command")?;
    let secret = stage.path("secret");
    fs::write(&secret, "a-secret-of-the-benchmark")?;
    let mut command = os::command(program);
    command.args(options);
    for (name, address) in NAMES.zip(destination.services).into_array() {
        command.arg("--resolve").arg(format!("{name}={address}"));
    }
    command.arg("--ca").arg(&destination.certificate);
    command
        .arg("--credential")
        .arg(format!("TOKEN={},host={}", secret.display(), NAMES.https));
    let Services {
        echo,
        source,
        https,
    } = by_name(destination);
    command.args(["--", "sh", "-c"]).arg(format!(
        "exec /workspace/bailiwick-bench client --echo {echo} --source {source} --https {https} --certificate $SSL_CERT_FILE --token $TOKEN"
    ));
    Worker::start("a client in a sandbox", command)
}
