//! The production payment gateway of the payments team: on the same machine, not in its environment, and out of reach.
//!
//! Each attempt is made where the policy does not name the gateway and, as the control, where the same attempt must succeed.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bailiwick_model::{Flow, Reason, Verdict};
use bailiwick_testkit::{
    Authority, Bailiwick, BannerServer, HttpServer, HttpsServer, Outcome, Postgres, UdpEcho,
    eventually,
};

use crate::network::TwoHosts;
use crate::proxy::ConnectProxy;
use crate::support::{PAYMENTS_DEV, REFUSED_WITHIN, changed, everyone, on_host, was_denied};

/// What the environment denies by `*.prod.example.com`.
const GATEWAY: &str = "payments.prod.example.com";
/// The same server by a name that the environment does not mention.
const OTHER_NAME: &str = "gateway.example.net";
const STAGING: &str = "api.staging.example.com";
const PROXY: &str = "proxy.ci.example.com";

/// What a script prints when it has come through to the gateway.
const THROUGH: &str = "came through";

/// What counts is who is reached, not whether it is trusted.
const GET: &str = "get() { curl --silent --show-error --fail --insecure --max-time 10 \"$@\" && echo came through; }";

/// The environment of the control: the payments team's, with the gateway.
fn with_gateway() -> String {
    let named = changed(
        PAYMENTS_DEV,
        "allowed_hosts: [",
        &format!("allowed_hosts: [{GATEWAY}, {OTHER_NAME}, "),
    );
    changed(
        &named,
        "denied_hosts: [",
        "denied_hosts: [\"*.elsewhere.example.com\"] # ",
    )
}

struct Machine {
    _authority: Authority,
    gateway: HttpsServer,
    gateway_v6: HttpsServer,
    plain: HttpServer,
    udp: UdpEcho,
    udp_v6: UdpEcho,
    staging: HttpsServer,
    proxy: ConnectProxy,
}

impl Machine {
    fn start() -> Self {
        let authority = Authority::new();
        let names = [GATEWAY, OTHER_NAME];
        let gateway = HttpsServer::start(&authority, &names);
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        Self {
            gateway_v6: HttpsServer::start_at(&authority, &names, v6),
            plain: HttpServer::start(),
            udp: UdpEcho::start(),
            udp_v6: UdpEcho::start_at(v6),
            staging: HttpsServer::start(&authority, &[STAGING]),
            proxy: ConnectProxy::start(gateway.address()),
            gateway,
            _authority: authority,
        }
    }

    /// How often anything of production was reached.
    fn reached(&self) -> usize {
        let tcp =
            self.gateway.connections() + self.gateway_v6.connections() + self.plain.connections();
        tcp + self.udp.datagrams() + self.udp_v6.datagrams()
    }

    /// All names are pinned to their servers, so that only the policy is in the way.
    fn attempt(
        &self,
        bailiwick: &Bailiwick,
        environment: &str,
        options: &[&str],
        script: &str,
    ) -> Outcome {
        let run = bailiwick.run().environment(environment);
        let run = run
            .resolve(GATEWAY, self.gateway.address())
            .resolve(OTHER_NAME, self.gateway.address());
        let run = run
            .resolve(GATEWAY, self.gateway_v6.address())
            .resolve(GATEWAY, self.plain.address());
        let run = run
            .resolve(STAGING, self.staging.address())
            .resolve(PROXY, self.proxy.address());
        options
            .iter()
            .fold(run, |run, option| run.option(*option))
            .script(&self.filled_in(script))
    }

    fn filled_in(&self, script: &str) -> String {
        let ports = [
            ("GATEWAY6", self.gateway_v6.address()),
            ("GATEWAY", self.gateway.address()),
            ("PLAIN", self.plain.address()),
            ("UDP6", self.udp_v6.address()),
            ("UDP", self.udp.address()),
            ("STAGING", self.staging.address()),
            ("PROXY", self.proxy.address()),
        ];
        let script = ports.iter().fold(script.to_owned(), |script, (name, at)| {
            script.replace(&format!("{{{name}}}"), &at.port().to_string())
        });
        format!("{GET}\n{script}")
    }
}

/// Attempts that the policy alone decides: blocked as it is, and successful where the gateway is allowed.
const BY_POLICY: &[(&str, &str)] = &[
    (
        "its name",
        "get https://payments.prod.example.com:{GATEWAY}/",
    ),
    (
        "its name in other spellings",
        "get https://Payments.PROD.example.com.:{GATEWAY}/",
    ),
    (
        "another name of it",
        "get https://gateway.example.net:{GATEWAY}/",
    ),
    (
        "its name, in clear",
        "get http://payments.prod.example.com:{PLAIN}/",
    ),
    (
        "its name, to where it listens on IPv6",
        "get https://payments.prod.example.com:{GATEWAY6}/",
    ),
    (
        "an address for its name",
        "at=$(getent hosts payments.prod.example.com | cut -d' ' -f1); \
        get --resolve payments.prod.example.com:{GATEWAY}:${at:-127.0.0.1} https://payments.prod.example.com:{GATEWAY}/",
    ),
    (
        "--connect-to, without a name in TLS",
        "get --connect-to 192.0.2.1:443:payments.prod.example.com:{GATEWAY} https://192.0.2.1/",
    ),
    (
        "--connect-to in clear",
        "get --connect-to ::payments.prod.example.com:{PLAIN} http://payments.prod.example.com/",
    ),
    (
        "a bare connection",
        "timeout 10 bash -c 'exec 3<>/dev/tcp/payments.prod.example.com/{PLAIN} && printf \"GET / HTTP/1.0\\r\\nHost: payments.prod.example.com\\r\\n\\r\\n\" >&3 && grep -q 200 <&3' && echo 'came through'",
    ),
];

/// Attempts that nothing opens, not even the policy that allows the gateway by name; and how the same attempt is made on the host, where
/// it succeeds.
const NEVER: &[(&str, &str, &str)] = &[
    ("loopback", "get https://127.0.0.1:{GATEWAY}/", SAME),
    ("loopback, IPv6", "get 'https://[::1]:{GATEWAY6}/'", SAME),
    (
        "loopback as an IPv4-mapped address",
        "get 'https://[::ffff:127.0.0.1]:{GATEWAY}/'",
        SAME,
    ),
    ("any address", "get https://0.0.0.0:{GATEWAY}/", SAME),
    ("any address, IPv6", "get 'https://[::]:{GATEWAY6}/'", SAME),
    (
        "the name of the host",
        "get https://host.internal:{GATEWAY}/",
        "get https://localhost:{GATEWAY}/",
    ),
    (
        "an address for its name",
        "get --resolve payments.prod.example.com:{GATEWAY}:127.0.0.1 https://payments.prod.example.com:{GATEWAY}/",
        SAME,
    ),
    (
        "the staging server's name and the gateway's port",
        "get https://api.staging.example.com:{GATEWAY}/",
        "get --resolve api.staging.example.com:{GATEWAY}:127.0.0.1 https://api.staging.example.com:{GATEWAY}/",
    ),
    (
        "a proxy of the host, as a variable",
        "export https_proxy=http://127.0.0.1:{PROXY}; get https://payments.prod.example.com:{GATEWAY}/",
        SAME,
    ),
    (
        "CONNECT through an allowed proxy, as a variable",
        "export https_proxy=http://proxy.ci.example.com:{PROXY}; get https://payments.prod.example.com:{GATEWAY}/",
        "export https_proxy=http://127.0.0.1:{PROXY}; get https://payments.prod.example.com:{GATEWAY}/",
    ),
    (
        "CONNECT to its address through an allowed proxy",
        "get --proxy http://proxy.ci.example.com:{PROXY} https://127.0.0.1:{GATEWAY}/",
        "get --proxy http://127.0.0.1:{PROXY} https://127.0.0.1:{GATEWAY}/",
    ),
    (
        "CONNECT with the proxy's own name as Host",
        "get --proxy http://proxy.ci.example.com:{PROXY} --proxy-header 'Host: proxy.ci.example.com:{PROXY}' \
            https://payments.prod.example.com:{GATEWAY}/",
        "get --proxy http://127.0.0.1:{PROXY} https://payments.prod.example.com:{GATEWAY}/",
    ),
    (
        "an absolute URL through an allowed proxy",
        "get --proxy http://proxy.ci.example.com:{PROXY} http://payments.prod.example.com:{PLAIN}/",
        "get --proxy http://127.0.0.1:{PLAIN} http://payments.prod.example.com:{PLAIN}/",
    ),
    ("UDP", UDP, SAME),
];

/// The host needs no other words.
const SAME: &str = "";

const UDP: &str = r#"/usr/bin/python3 -c '
import socket
for family, address, port in [(2, "127.0.0.1", {UDP}), (2, "payments.prod.example.com", {UDP}), (2, "0.0.0.0", {UDP}), (10, "::1", {UDP6})]:
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        try:
            s.connect((address, port)); s.send(b"x"); s.recv(9); print("came through")
        except OSError as error: print(address, error)
'"#;

#[test]
fn production_is_reached_by_name_only_where_the_policy_names_it() {
    let (machine, open) = (Machine::start(), with_gateway());
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        for options in [&[][..], &["--root"]] {
            for (attempt, script) in BY_POLICY {
                blocked(&machine, bailiwick, PAYMENTS_DEV, options, attempt, script);
                let before = machine.reached();
                let outcome = machine.attempt(bailiwick, &open, options, script).success();
                assert!(
                    outcome.stdout.contains(THROUGH) && machine.reached() > before,
                    "the control of {attempt}: {outcome:#?}"
                );
            }
        }
    }
}

#[test]
fn production_is_reached_neither_by_address_nor_through_another_server_nor_by_udp() {
    let (machine, open) = (Machine::start(), with_gateway());
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        for (attempt, script, _) in NEVER {
            for (environment, options) in [
                (PAYMENTS_DEV, &[][..]),
                (PAYMENTS_DEV, &["--root"]),
                (&open, &[]),
            ] {
                blocked(&machine, bailiwick, environment, options, attempt, script);
            }
        }
    }
    assert_eq!(machine.proxy.tunnels(), 0);
}

#[test]
fn the_attempts_that_nothing_opens_do_reach_production_from_the_host() {
    let machine = Machine::start();
    for (attempt, inside, on_the_host) in NEVER {
        let script = machine.filled_in(if on_the_host.is_empty() {
            inside
        } else {
            on_the_host
        });
        let before = machine.reached();
        let printed = on_host(&script);
        assert!(
            printed.contains(THROUGH) && machine.reached() > before,
            "{attempt}: {printed}"
        );
    }
}

#[test]
fn the_staging_server_is_not_asked_for_another_name() {
    let machine = Machine::start();
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let fronted = "get --connect-to ::api.staging.example.com:{STAGING} https://payments.prod.example.com/";
        machine
            .attempt(bailiwick, PAYMENTS_DEV, &[], fronted)
            .exits(35);
        assert_eq!(machine.staging.requests().len(), 0);
    }
    for (count, bailiwick) in all.iter().enumerate() {
        let honest =
            "get --connect-to ::api.staging.example.com:{STAGING} https://api.staging.example.com/";
        machine
            .attempt(bailiwick, PAYMENTS_DEV, &[], honest)
            .success();
        assert_eq!(machine.staging.requests().len(), count + 1);
    }
}

fn blocked(
    machine: &Machine,
    bailiwick: &Bailiwick,
    environment: &str,
    options: &[&str],
    attempt: &str,
    script: &str,
) {
    let before = machine.reached();
    let outcome = machine.attempt(bailiwick, environment, options, script);
    assert!(
        !outcome.stdout.contains(THROUGH),
        "{attempt} {options:?}: {outcome:#?}"
    );
    assert_eq!(
        machine.reached(),
        before,
        "{attempt} {options:?}: {outcome:#?}"
    );
    assert!(
        outcome.duration < REFUSED_WITHIN,
        "{attempt} took {:?}",
        outcome.duration
    );
    let to_gateway = |flow: &&Flow| flow.destination.to_string().starts_with(GATEWAY);
    let allowed = outcome
        .flows
        .iter()
        .filter(to_gateway)
        .any(|flow| flow.verdict == Verdict::Allow && flow.bytes_in > 0);
    assert!(!allowed, "{attempt}: {:#?}", outcome.flows);
}

/// What runs on the other host: staging's database lies in 10.20.0.0/16, production beside it.
struct OtherHost {
    postgres: Postgres,
    _database: ConnectProxy,
    /// On the database's address, at another port.
    beside: BannerServer,
    production: [BannerServer; 2],
    udp: UdpEcho,
}

impl OtherHost {
    fn start() -> Self {
        let at = |address: &str| {
            BannerServer::start_at(address.parse().expect("an address"), "came through\r\n")
        };
        let postgres = Postgres::start();
        Self {
            _database: ConnectProxy::forward(
                "10.20.0.5:5432".parse().expect("an address"),
                postgres.address(),
            ),
            beside: at("10.20.0.5"),
            production: ["10.99.0.5", "fd99::5"].map(at),
            udp: UdpEcho::start_at("10.99.0.5".parse().expect("an address")),
            postgres,
        }
    }

    /// The words that send a datagram to production.
    fn send(&self) -> String {
        let address = self.udp.address();
        format!("echo x >/dev/udp/{}/{}", address.ip(), address.port())
    }
}

/// Reads one line from `at`, in a sandbox.
fn ask(bailiwick: &Bailiwick, environment: &str, at: SocketAddr) -> Outcome {
    let (address, port) = (at.ip(), at.port());
    bailiwick.run().environment(environment).command([
        "timeout",
        "10",
        "bash",
        "-c",
        &format!("head -1 </dev/tcp/{address}/{port}"),
    ])
}

#[test]
fn an_address_of_another_host_is_reached_only_by_a_cidr_rule_and_never_by_udp() {
    let with_production = changed(
        PAYMENTS_DEV,
        "allowed_cidrs: [\"10.20.0.0/16:5432\"]",
        "allowed_cidrs: [\"10.20.0.0/16:5432\", \"10.99.0.5/32\", \"fd99::5/128\"]",
    );
    // Both are on a host of the test's own.
    let Some(hosts) = TwoHosts::make(&[
        ("10.20.0.1/24", "10.20.0.5/24"),
        ("10.99.0.1/24", "10.99.0.5/24"),
        ("fd99::1/64", "fd99::5/64"),
    ]) else {
        return;
    };
    let other = hosts.on_the_other(OtherHost::start);
    hosts.on_the_first(|| {
        let (_leaks, all) = everyone();
        for bailiwick in &all {
            only_the_port_of_the_database_is_reached(bailiwick, &other);
            production_is_reached_only_where_it_is_named(bailiwick, &other, &with_production);
            for environment in [PAYMENTS_DEV, &with_production] {
                bailiwick
                    .run()
                    .environment(environment)
                    .command(["bash", "-c", &other.send()]);
            }
            assert_eq!(other.udp.datagrams(), 0);
        }
        on_host(&format!("bash -c '{}'", other.send()));
        eventually("the control's datagram", Duration::from_secs(20), || {
            (other.udp.datagrams() == 1).then_some(())
        });
    });
}

fn only_the_port_of_the_database_is_reached(bailiwick: &Bailiwick, other: &OtherHost) {
    let query = format!(
        "{} --no-psqlrc -h 10.20.0.5 -U postgres -Atc 'select 6 * 7'",
        other.postgres.psql().display()
    );
    let answer = bailiwick
        .run()
        .environment(PAYMENTS_DEV)
        .script(&query)
        .success();
    assert_eq!(answer.stdout.trim(), "42");
    let refused = ask(bailiwick, PAYMENTS_DEV, other.beside.address());
    assert_eq!(
        (refused.stdout.as_str(), other.beside.connections()),
        ("", 0),
        "the rule is for one port"
    );
}

fn production_is_reached_only_where_it_is_named(
    bailiwick: &Bailiwick,
    other: &OtherHost,
    with_production: &str,
) {
    for server in &other.production {
        let (at, before) = (server.address(), server.connections());
        let refused = ask(bailiwick, PAYMENTS_DEV, at);
        assert_eq!(
            (refused.stdout.as_str(), server.connections()),
            ("", before)
        );
        was_denied(
            &refused,
            &at.to_string(),
            Reason::PrivateAddress,
            "allowed_cidrs",
        );
        assert_eq!(
            ask(bailiwick, with_production, at).success().stdout.trim(),
            THROUGH
        );
        assert_eq!(server.connections(), before + 1);
    }
}
