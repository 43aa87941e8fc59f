//! tinyproxy and squid, with as little work for them as their configurations allow: no log, no cache.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Background, Stage};
use crate::os;

/// How long a proxy may take to listen; squid reads its error pages first.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// The same for one in Python, which imports for long.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(180);

/// A running proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    _process: Background,
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// One that was started and listens.
    pub(crate) fn of(process: Background, address: SocketAddr) -> Self {
        Self {
            _process: process,
            address,
        }
    }
}

/// Starts tinyproxy.
pub(crate) fn tinyproxy(stage: &Stage) -> Result<Proxy> {
    let address = free_address()?;
    let config = format!(
        "Port {}\nListen 127.0.0.1\nTimeout 600\nMaxClients 2000\nAllow 127.0.0.1\nLogLevel Critical\nDisableViaHeader Yes\n",
        address.port()
    );
    start(stage, "tinyproxy", &["-d", "-c"], &config, address)
}

/// Starts squid.
pub(crate) fn squid(stage: &Stage) -> Result<Proxy> {
    let address = free_address()?;
    let dir = stage.path("squid");
    fs::create_dir_all(&dir)?;
    // As root squid becomes the user `proxy` before it writes its pid.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777))?;
    let dir = dir.display();
    let config = format!(
        "http_port 127.0.0.1:{}\nvisible_hostname bench\nhttp_access allow all\ncache deny all\ncache_mem 0 MB\n\
         access_log none\ncache_log /dev/null\ncache_store_log none\npid_filename {dir}/pid\ncoredump_dir {dir}\n\
         max_filedescriptors 8192\npinger_enable off\nnetdb_filename none\nshutdown_lifetime 0 seconds\nvia off\n\
         forwarded_for delete\n",
        address.port()
    );
    start(stage, "squid", &["-N", "-f"], &config, address)
}

pub(super) fn start(
    stage: &Stage,
    program: &str,
    options: &[&str],
    config: &str,
    address: SocketAddr,
) -> Result<Proxy> {
    let path = os::find(program).with_context(|| format!("{program} is not installed"))?;
    let file = stage.path(&format!("{program}.conf"));
    fs::write(&file, config)?;
    let mut process = Background::start(command(&path, options, &file))?;
    let start = Instant::now();
    while os::connect(address).is_err() {
        if process.ended() || start.elapsed() > START_TIMEOUT {
            let output = command(&path, options, &file).output()?;
            bail!(
                "{program} does not listen: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(Proxy::of(process, address))
}

fn command(program: &Path, options: &[&str], config: &Path) -> Command {
    let mut command = os::command(program);
    command.args(options).arg(config);
    command
}

/// Starts a program that has been told where to listen, and waits until it does.
pub(super) fn listening(name: &str, command: Command, address: SocketAddr) -> Result<Proxy> {
    let mut process = Background::start(command)?;
    let begun = Instant::now();
    while os::connect(address).is_err() {
        if process.ended() || begun.elapsed() > IMPORT_TIMEOUT {
            bail!("{name} does not listen");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(Proxy::of(process, address))
}

/// A port that was free a moment ago: neither proxy can be given a listening socket.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
