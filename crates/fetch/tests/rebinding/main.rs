//! Names whose meaning changes, and redirections to such. What a name means is said by a resolver of the test, on a machine that has no other:
//! namespaces of its own, which an ordinary user may make too.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use bailiwick_fetch::{FetchError, Page, Visitor, Web};
use bailiwick_model::{Flow, PolicySource, Reason};
use bailiwick_outbound::{Account, Outbound};
use bailiwick_policy::{EffectivePolicy, EgressPolicy, OrganizationFloor, Policy, SessionGrants};
use bailiwick_testkit::{DnsServer, HttpServer, User, dialer_to};
use jiff::Timestamp;

/// Makes the machine, and runs the other test there.
const MACHINE: &str = "ip link set lo up && echo nameserver 127.0.0.1 > /run/resolv.conf && \
    mount --bind /run/resolv.conf /etc/resolv.conf && exec \"$0\" --exact on_a_machine_of_its_own --ignored --nocapture";

#[test]
fn a_name_that_leads_inwards_the_second_time_is_blocked() {
    let mut users = vec![User::current()];
    if User::current().is_root() {
        users.push(User::ordinary());
    }
    for user in users {
        #[expect(
            clippy::disallowed_methods,
            reason = "the test makes a machine for itself"
        )]
        let mut unshare = Command::new("unshare");
        if user != User::current() {
            unshare.uid(user.uid).gid(user.gid);
        }
        let script = format!("mount -t tmpfs none /run && {MACHINE}");
        unshare
            .args(["--map-root-user", "--net", "--mount", "sh", "-c", &script])
            .arg(std::env::current_exe().unwrap())
            .current_dir("/")
            .stdin(Stdio::null());
        let output = unshare.output().expect("unshare");
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{user:?}: {said}{complained}");
        assert!(said.contains("1 passed"), "{user:?}: {said}");
    }
}

/// Everything public may be fetched, as far as rules go.
async fn get(web: &Web, url: &str) -> (Result<Page, FetchError>, Vec<Flow>) {
    let effective = EffectivePolicy {
        policy: EgressPolicy::unrestricted(),
        source: PolicySource::BuiltIn,
    };
    let policy = Policy::compile(
        effective,
        &OrganizationFloor::empty(),
        &SessionGrants::none(),
    );
    let flows = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&flows);
    let account = Account {
        sandbox: "one".parse().unwrap(),
        environment: None,
        now: || Timestamp::UNIX_EPOCH,
        record: Box::new(move |flow| all.lock().unwrap().push(flow)),
    };
    let visitor = Visitor {
        policy: &policy,
        account: Arc::new(account),
    };
    let page = web.get(&visitor, &url.parse().unwrap(), 1 << 20).await;
    let flows = std::mem::take(&mut *flows.lock().unwrap());
    (page, flows)
}

/// Why it was denied, of which there is a flow.
#[track_caller]
fn denied((page, flows): &(Result<Page, FetchError>, Vec<Flow>)) -> Reason {
    let Err(FetchError::Denied(decision)) = page else {
        panic!("not denied: {page:?}");
    };
    assert_eq!((flows.len(), flows[0].reason), (1, decision.reason));
    decision.reason
}

#[tokio::test]
#[ignore = "the test above runs it where it may say what names mean"]
async fn on_a_machine_of_its_own() {
    let resolver = DnsServer::start_at(SocketAddr::from(([127, 0, 0, 1], 53)));
    let server = HttpServer::start();
    let port = server.address().port();
    let [public, loopback, metadata, private]: [IpAddr; 4] =
        ["192.0.2.200", "127.0.0.1", "169.254.169.254", "10.9.9.9"].map(|ip| ip.parse().unwrap());
    let dialer = dialer_to(&format!("pinned.test={}", server.address()));
    let web = Web::new(Outbound::trusting_this_machine(dialer).unwrap());
    let url = |name: &str| format!("http://{name}:{port}/");

    // Two questions are one look-up: its addresses of either family.
    for (name, inward) in [("rebinding.test", loopback), ("metadata.test", metadata)] {
        resolver.set_in_turn(name, &[&[public], &[public], &[inward]]);
        let (first, _) = get(&web, &url(name)).await;
        // Nothing is there; it was allowed.
        assert!(
            matches!(first, Err(FetchError::Dial(_))),
            "{name}: {first:?}"
        );
        assert_eq!(
            denied(&get(&web, &url(name)).await),
            Reason::Floor,
            "{name}"
        );
    }
    resolver.set_in_turn("private.test", &[&[public], &[public], &[private]]);
    get(&web, &url("private.test")).await.0.unwrap_err();
    let second = get(&web, &url("private.test")).await;
    assert_eq!(denied(&second), Reason::ResolvedToPrivate);
    // One address of several is enough.
    resolver.set("mixed.test", &[public, loopback]);
    assert_eq!(denied(&get(&web, &url("mixed.test")).await), Reason::Floor);

    // What was checked is what is dialled: nobody asks again between the two.
    resolver.set_in_turn("once.test", &[&[public], &[public], &[loopback]]);
    get(&web, &url("once.test")).await.0.unwrap_err();
    let asked = resolver.asked().into_iter();
    let asked = asked.filter(|name| name.trim_end_matches('.') == "once.test");
    assert_eq!(asked.count(), 2);
    assert_eq!(server.connections(), 0);

    // A redirection leads nowhere by itself, and whoever follows it is denied.
    resolver.set("inward.test", &[loopback]);
    let page = get(&web, &url("pinned.test")).await.0.unwrap();
    assert_eq!(page.status, 200);
    let location = url("inward.test");
    assert_eq!(denied(&get(&web, &location).await), Reason::Floor);
    assert_eq!(server.connections(), 1, "the positive control's");
}
