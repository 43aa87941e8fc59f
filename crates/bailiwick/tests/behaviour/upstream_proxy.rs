//! A machine that reaches the network through a company's proxy: a real tinyproxy.

use std::net::TcpStream;
use std::time::Duration;

use bailiwick_model::{Reason, Verdict};
use bailiwick_testkit::{Bailiwick, Child, FreePort, HttpServer, eventually};

use crate::support::{everyone, host_command, run};

/// Resolved by the proxy on its own: the one name that every machine knows, under another that is not loopback's by name.
const NAME: &str = "registry.npmjs.org";

struct Proxy {
    process: Child,
    port: FreePort,
    _directory: tempfile::TempDir,
}

impl Proxy {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let port = FreePort::find();
        let settings = directory.path().join("tinyproxy.conf");
        let text = format!(
            "Port {}\nListen 127.0.0.1\nAllow 127.0.0.1\nMaxClients 20\nLogLevel Connect\n",
            port.number()
        );
        std::fs::write(&settings, text).expect("a file");
        let process = Child::start(host_command("tinyproxy").arg("-d").arg("-c").arg(settings));
        #[expect(
            clippy::disallowed_methods,
            reason = "the test looks whether its server is there"
        )]
        let listens = || TcpStream::connect(port.address()).ok();
        eventually("tinyproxy listens", Duration::from_secs(60), listens);
        Self {
            process,
            port,
            _directory: directory,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    fn asked_for(&self, destination: &str) -> usize {
        let log = self.process.printed() + &self.process.complained();
        log.lines()
            .filter(|line| line.contains(&format!("CONNECT {destination}")))
            .count()
    }
}

const GET: [&str; 8] = [
    "curl",
    "--silent",
    "--max-time",
    "20",
    "--output",
    "/dev/null",
    "--write-out",
    "%{http_code}",
];

fn get(url: &str) -> Vec<String> {
    GET.iter()
        .map(|word| (*word).to_owned())
        .chain([url.to_owned()])
        .collect()
}

#[test]
fn names_that_only_the_proxy_resolves_need_trust() {
    let proxy = Proxy::start();
    let (_leaks, all) = everyone();
    let url = format!("https://{NAME}/is-number/latest");
    for bailiwick in &all {
        let before = proxy.asked_for(NAME);
        let refused = run(bailiwick, &["--upstream-proxy", &proxy.url()]).command(get(&url));
        assert_ne!(refused.code, 0);
        let flows = refused.flows_to(&format!("{NAME}:443"));
        assert!(
            flows
                .iter()
                .any(|flow| (flow.verdict, flow.reason)
                    == (Verdict::Deny, Reason::UnverifiedAddress)),
            "{:#?}",
            refused.flows
        );
        assert!(
            refused.stderr.contains("--trust-proxy-dns"),
            "{}",
            refused.stderr
        );
        assert_eq!(proxy.asked_for(NAME), before);

        let trusted = run(
            bailiwick,
            &["--upstream-proxy", &proxy.url(), "--trust-proxy-dns"],
        )
        .command(get(&url))
        .success();
        assert_eq!(trusted.stdout, "200");
        let by_variable = |name: &str| {
            run(bailiwick, &["--trust-proxy-dns"])
                .host_variable(name, proxy.url())
                .command(get(&url))
                .success()
                .stdout
        };
        for variable in ["https_proxy", "HTTPS_PROXY", "all_proxy"] {
            assert_eq!(by_variable(variable), "200", "{variable}");
        }
        assert_eq!(proxy.asked_for(NAME), before + 4);
    }
}

#[test]
fn the_policy_holds_behind_the_proxy_too_and_the_proxy_itself_is_not_seen_inside() {
    let proxy = Proxy::start();
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let run = || {
            bailiwick
                .run()
                .allowing(&["api.test"])
                .option("--upstream-proxy")
                .option(proxy.url())
                .option("--trust-proxy-dns")
        };
        let denied = run().command(get(&format!("https://{NAME}/")));
        assert_ne!(denied.code, 0);
        assert_eq!(proxy.asked_for(NAME), 0);
        let seen = run().script(&format!("env | grep -i proxy; (exec 3<>/dev/tcp/127.0.0.1/{}) 2>/dev/null && echo open; true", proxy.port.number())).success();
        assert_eq!(seen.stdout, "");
        let metadata = run().command(get("http://169.254.169.254/"));
        assert_ne!(metadata.stdout, "200");
        assert_eq!(proxy.asked_for("169.254"), 0);
    }
}

#[test]
fn a_name_that_the_operator_pinned_is_reached_without_the_proxy_resolving_it() {
    let proxy = Proxy::start();
    let server = HttpServer::start();
    let (_leaks, all) = everyone();
    for (count, bailiwick) in all.iter().enumerate() {
        let outcome = pinned(bailiwick, &proxy, &server);
        assert_eq!(outcome, "200");
        assert_eq!(server.connections(), count + 1);
        assert_eq!(
            proxy.asked_for("api.test"),
            0,
            "the name is not asked of the proxy"
        );
    }
}

fn pinned(bailiwick: &Bailiwick, proxy: &Proxy, server: &HttpServer) -> String {
    let run = bailiwick
        .run()
        .allowing(&["api.test"])
        .option("--upstream-proxy")
        .option(proxy.url());
    run.resolve("api.test", server.address())
        .command(get(&format!(
            "http://api.test:{}/",
            server.address().port()
        )))
        .stdout
}
