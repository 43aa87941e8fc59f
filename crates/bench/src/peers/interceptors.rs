//! squid and mitmproxy as they put a header into requests over TLS: each with an authority of its own that the client trusts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bailiwick_testkit::Sdk;

use super::proxies::{Proxy, free_address, start};
use super::{Background, Stage};
use crate::os;

/// mitmproxy imports for seconds, and makes its authority when it starts first.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The program that squid has its certificates made by, where Debian has it.
const CERTIFICATE_MAKER: &str = "/usr/lib/squid/security_file_certgen";

/// A proxy, and the certificate of the authority that its client has to trust.
pub(crate) struct Interceptor {
    pub(crate) proxy: Proxy,
    pub(crate) authority: PathBuf,
}

/// Starts squid with `ssl_bump`.
pub(crate) fn squid(stage: &Stage) -> Result<Interceptor> {
    let address = free_address()?;
    let dir = stage.path("squid-bump");
    fs::create_dir_all(&dir)?;
    let (authority, key) = (dir.join("authority.pem"), dir.join("authority.key"));
    let mut openssl = os::command("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]);
    openssl.args(["-nodes", "-days", "2", "-subj", "/CN=squid"]);
    succeed(openssl.arg("-out").arg(&authority).arg("-keyout").arg(&key))?;
    let database = dir.join("certificates");
    let mut maker = os::command(Path::new(CERTIFICATE_MAKER));
    // It takes a size only of a directory that it knows already.
    succeed(maker.arg("-c").arg("-s").arg(&database).args(["-M", "4MB"]))?;
    open_to_all(&dir)?;
    let (database, authority_file, key) = (database.display(), authority.display(), key.display());
    let dir = dir.display();
    let config = format!(
        "http_port 127.0.0.1:{} ssl-bump tls-cert={authority_file} tls-key={key} generate-host-certificates=on dynamic_cert_mem_cache_size=4MB\n\
         sslcrtd_program {CERTIFICATE_MAKER} -s {database} -M 4MB\nsslcrtd_children 2\ntls_outgoing_options flags=DONT_VERIFY_PEER\n\
         sslproxy_cert_error allow all\nacl step1 at_step SslBump1\nssl_bump peek step1\nssl_bump bump all\n\
         request_header_access X-Key deny all\nrequest_header_replace X-Key secret\n\
         visible_hostname bench\nhttp_access allow all\ncache deny all\ncache_mem 0 MB\naccess_log none\ncache_log /dev/null\n\
         cache_store_log none\npid_filename {dir}/pid\ncoredump_dir {dir}\nmax_filedescriptors 8192\npinger_enable off\n\
         netdb_filename none\nshutdown_lifetime 0 seconds\nvia off\nforwarded_for delete\n",
        address.port()
    );
    let proxy = start(stage, "squid", &["-N", "-f"], &config, address)?;
    Ok(Interceptor { proxy, authority })
}

/// Starts mitmproxy.
pub(crate) fn mitmproxy(stage: &Stage) -> Result<Interceptor> {
    let address = free_address()?;
    let dir = stage.path("mitmproxy");
    let script = "from mitmproxy.tools.main import mitmdump; mitmdump()";
    let mut mitmdump = Sdk::mitmproxy().command(script);
    mitmdump.args(["-q", "--listen-host", "127.0.0.1", "--listen-port"]);
    mitmdump.arg(address.port().to_string());
    mitmdump.args([
        "--set",
        "ssl_insecure=true",
        "--set",
        "stream_large_bodies=1m",
    ]);
    mitmdump
        .arg("--set")
        .arg(format!("confdir={}", dir.display()));
    mitmdump.args(["--modify-headers", "/~q/X-Key/secret"]);
    let mut process = Background::start(mitmdump)?;
    let begun = Instant::now();
    while os::connect(address).is_err() {
        if process.ended() || begun.elapsed() > START_TIMEOUT {
            bail!("mitmproxy does not listen");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(Interceptor {
        proxy: Proxy::of(process, address),
        authority: dir.join("mitmproxy-ca-cert.pem"),
    })
}

/// As root squid and its helpers become the user `proxy`.
fn open_to_all(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            open_to_all(&path)?;
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
        }
    }
    Ok(fs::set_permissions(dir, fs::Permissions::from_mode(0o777))?)
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("{:?}", command.get_program()))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{:?}: {complaint}",
        command.get_program()
    );
    Ok(())
}
