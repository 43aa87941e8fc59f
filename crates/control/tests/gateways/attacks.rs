//! Attacks that have worked on systems like this one (redirections, names and servers that move later), against gateways.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bailiwick_control::{EnvironmentChange, McpEntryChange, OnConflict, PoliciesChange};
use bailiwick_mcp::{Span, Talk, View as _};
use bailiwick_model::Verdict;
use bailiwick_store::FlowFilter;
use bailiwick_testkit::{Said, StandIn, dialer_with};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{Place, answer, answered, ask, call, on_both, tools};

const PATIENCE: Duration = Duration::from_secs(20);

fn networking(change: &serde_json::Value) -> EnvironmentChange {
    let body = json!({"config": {"type": "cloud", "networking": change}});
    EnvironmentChange {
        body: body.as_object().unwrap().clone(),
        ..EnvironmentChange::default()
    }
}

/// Case 26.
#[tokio::test]
async fn a_redirection_to_another_host_is_not_followed_wherever_it_leads() {
    let place = Place::sqlite().await;
    let dev = place.open_environment("dev").await;
    let target = place.url(2);
    let own = Arc::new(AtomicBool::new(true));
    let leads = Arc::clone(&own);
    let server = StandIn::start(move |asked| {
        if leads.load(Ordering::SeqCst) && asked.target == "/mcp" {
            return answer("moved", asked);
        }
        match asked.target.as_str() {
            "/mcp" => Said::status(307).with("location", &target),
            _ => answer("moved", asked),
        }
    });
    let pin = format!("moved.example.com={}", server.address());
    let outbound = bailiwick_outbound::Outbound::new(
        dialer_with(&[&pin]),
        bailiwick_testkit::Authority::new().trusted(),
    );
    let control = Arc::new(super::server(&place.store, &outbound));
    let gateways = Arc::new(bailiwick_control::McpGateways::new(control));
    let url = format!("http://moved.example.com:{}/mcp", server.address().port());
    place.enter("moved", &dev, url).await.unwrap();
    let gateway = place.gateway("dev", &dev, None).await.unwrap();
    let said = ask(&gateways, &place.caller, &gateway, call("moved__ask")).await;
    assert!(
        said.unwrap().to_string().contains("this is moved"),
        "the control"
    );
    // It redirects later (case 60): to a host that the environment may reach or not, nobody follows with what was asked.
    own.store(false, Ordering::SeqCst);
    let before = place.asked(2);
    let said = ask(&gateways, &place.caller, &gateway, call("moved__ask")).await;
    let said = said.unwrap_err();
    assert!(said.contains("moved") && said.contains("307"), "{said}");
    assert_eq!(place.asked(2), before, "the other host was not asked");
}

/// Case 60, of a policy that is tightened after the server was entered.
#[tokio::test]
async fn a_server_that_the_policy_denies_by_now_is_not_asked_and_the_client_is_told_why() {
    on_both(|place| async move {
        let dev = place.open_environment("dev").await;
        place.enter("dev", &dev, place.url(0)).await.unwrap();
        let gateway = place.gateway("dev", &dev, None).await.unwrap();
        let other = place.other();
        for gateways in [&place.gateways, &other] {
            let said = ask(gateways, &place.caller, &gateway, call("dev__ask")).await;
            assert!(said.is_ok(), "the control: {said:?}");
        }
        let change = networking(&json!({"type": "limited", "allowed_hosts": ["else.example.com"]}));
        let (control, caller) = (&place.control, &place.caller);
        let impact = control
            .environment_impact(caller, &dev, change.clone())
            .await;
        let cut_off = impact.unwrap().cut_off;
        assert_eq!(cut_off.len(), 1, "the preview names it");
        assert_eq!(cut_off[0].name, "dev");
        control
            .update_environment(caller, &dev, change)
            .await
            .unwrap();
        let before = place.asked(0);
        // Where it was changed it holds at once, on another server within a second.
        let said = ask(&place.gateways, caller, &gateway, call("dev__ask")).await;
        let said = said.unwrap_err();
        for word in ["environment dev", "dev.example.com", "no_rule"] {
            assert!(said.contains(word), "{said}");
        }
        sleep(Duration::from_millis(1100)).await;
        let said = ask(&other, caller, &gateway, call("dev__ask")).await;
        assert!(said.unwrap_err().contains("no_rule"));
        assert_eq!(place.asked(0), before);
    })
    .await;
}

/// Case 60, of a name whose address is another one later: here, what the floor denies by its address.
#[tokio::test]
async fn a_name_that_leads_to_a_denied_address_by_now_is_not_asked() {
    let place = Place::sqlite().await;
    let dev = place.open_environment("dev").await;
    place.enter("dev", &dev, place.url(0)).await.unwrap();
    let gateway = place.gateway("dev", &dev, None).await.unwrap();
    assert!(
        place.ask(&gateway, call("dev__ask")).await.is_ok(),
        "the control"
    );
    // The same name, not pinned to an address of the operator's choice any more but resolved: to nothing that may be reached.
    let outbound = bailiwick_outbound::Outbound::new(
        dialer_with(&["dev.example.com=169.254.169.254"]),
        bailiwick_testkit::Authority::new().trusted(),
    );
    let control = Arc::new(super::server(&place.store, &outbound));
    let gateways = Arc::new(bailiwick_control::McpGateways::new(control));
    let said = ask(&gateways, &place.caller, &gateway, call("dev__ask")).await;
    let said = said.unwrap_err();
    assert!(
        said.contains("environment dev") && said.contains("floor"),
        "{said}"
    );
}

/// A server whose calls take until they are let go, or for ever.
fn slow() -> StandIn {
    StandIn::start(|asked| {
        if String::from_utf8_lossy(&asked.body).contains("tools/call") {
            return Said::status(200).in_manner(bailiwick_testkit::SaidManner::Silent);
        }
        answer("slow", asked)
    })
}

struct Slow {
    place: Place,
    server: StandIn,
    gateways: Arc<bailiwick_control::McpGateways>,
    control: Arc<bailiwick_control::Control>,
    entry: bailiwick_control::McpEntryView,
    gateway: bailiwick_control::McpGatewayView,
}

impl Slow {
    async fn new() -> Self {
        let (place, server) = (Place::sqlite().await, slow());
        let pin = format!("slow.example.com={}", server.address());
        let outbound = bailiwick_outbound::Outbound::new(
            dialer_with(&[&pin]),
            bailiwick_testkit::Authority::new().trusted(),
        );
        let control = Arc::new(super::server(&place.store, &outbound));
        let gateways = Arc::new(bailiwick_control::McpGateways::new(Arc::clone(&control)));
        let dev = place.open_environment("dev").await;
        let url = format!("http://slow.example.com:{}/mcp", server.address().port());
        let entry = place.enter("slow", &dev, url).await.unwrap();
        let gateway = place.gateway("dev", &dev, None).await.unwrap();
        Self {
            place,
            server,
            gateways,
            control,
            entry,
            gateway,
        }
    }

    /// What a call that waits for its answer comes to once `change` is done, and that it waited until then.
    async fn cut_by(&self, change: impl Future<Output = ()>) -> String {
        let calling = ask(
            &self.gateways,
            &self.place.caller,
            &self.gateway,
            call("slow__ask"),
        );
        tokio::pin!(calling);
        let begun = async {
            while !self
                .server
                .asked()
                .iter()
                .any(|asked| String::from_utf8_lossy(&asked.body).contains("tools/call"))
            {
                sleep(Duration::from_millis(20)).await;
            }
            // It is looked at meanwhile, and goes on.
            sleep(Duration::from_millis(1500)).await;
        };
        tokio::select! {
            said = &mut calling => panic!("it did not wait: {said:?}"),
            begun = timeout(PATIENCE, begun) => begun.expect("the call reaches its server"),
        }
        change.await;
        let changed = Instant::now();
        let said = timeout(PATIENCE, calling).await.expect("it is cut");
        assert!(changed.elapsed() < Duration::from_secs(5), "soon");
        said.unwrap_err()
    }
}

#[tokio::test]
async fn a_tightened_policy_cuts_calls_under_way() {
    let world = Slow::new().await;
    let said = world
        .cut_by(async {
            let change = PoliciesChange {
                denied_hosts: Some(vec!["slow.example.com".to_owned()]),
                ..PoliciesChange::default()
            };
            let changing = world.control.change_policies(&world.place.caller, change);
            changing.await.unwrap();
        })
        .await;
    assert!(
        said.contains("organization_floor") && said.contains("environment dev"),
        "{said}"
    );
}

/// Case 64.
#[tokio::test]
async fn a_server_that_moves_while_it_is_called_is_called_no_more() {
    let world = Slow::new().await;
    let prod = world.place.open_environment("prod").await;
    let said = world
        .cut_by(async {
            let change = McpEntryChange {
                environment: Some(prod.clone()),
                on_conflict: OnConflict::Detach,
                ..McpEntryChange::default()
            };
            let id = &world.entry.entry.id;
            // By another server: this one hears of it within a second.
            let moving = world
                .place
                .control
                .update_mcp_entry(&world.place.caller, id, change);
            moving.await.unwrap();
        })
        .await;
    assert!(said.contains("not in this gateway any more"), "{said}");
}

#[tokio::test]
async fn a_revoked_key_ends_what_it_has_under_way() {
    let world = Slow::new().await;
    let request = bailiwick_control::NewKeyRequest {
        name: "ci".to_owned(),
        expires_at: None,
    };
    let (control, admin) = (&world.control, &world.place.caller);
    let id = &world.gateway.gateway.id;
    let made = control
        .create_gateway_key(admin, id, request)
        .await
        .unwrap();
    let key = super::authenticated(control, &made.key).await.unwrap();
    let calling = ask(&world.gateways, &key, &world.gateway, call("slow__ask"));
    tokio::pin!(calling);
    assert!(
        timeout(Duration::from_millis(1500), &mut calling)
            .await
            .is_err(),
        "it waits"
    );
    control
        .revoke_gateway_key(admin, id, &made.id)
        .await
        .unwrap();
    let said = timeout(PATIENCE, calling).await.expect("it is cut");
    assert!(said.unwrap_err().contains("no credentials"));
}

/// Case 64, of what is recorded: whose connection it was does not follow a name.
#[tokio::test]
async fn flows_of_a_gateway_are_of_its_environment_whatever_that_is_called_later() {
    let place = Place::sqlite().await;
    let dev = place.open_environment("dev").await;
    place.enter("dev", &dev, place.url(0)).await.unwrap();
    let gateway = place.gateway("dev", &dev, None).await.unwrap();
    place.ask(&gateway, call("dev__ask")).await.unwrap();
    let (control, caller) = (&place.control, &place.caller);
    let rename = EnvironmentChange {
        body: json!({"name": "renamed"}).as_object().unwrap().clone(),
        ..EnvironmentChange::default()
    };
    control
        .update_environment(caller, &dev, rename)
        .await
        .unwrap();
    let change = networking(
        &json!({"type": "limited", "allowed_hosts": ["dev.example.com"],
        "denied_hosts": ["staging.example.com"]}),
    );
    control
        .update_environment(caller, &dev, change)
        .await
        .unwrap();
    place.ask(&gateway, call("dev__ask")).await.unwrap();
    let filter = FlowFilter {
        environment: Some(dev.clone()),
        ..FlowFilter::default()
    };
    let found = timeout(PATIENCE, async {
        loop {
            let flows = control.flows(caller, 0, 100, &filter).await.unwrap();
            if !flows.is_empty() {
                return flows;
            }
            sleep(Duration::from_millis(100)).await;
        }
    });
    let flows = found.await.expect("flows are kept");
    let first = json!(flows[0]);
    assert_eq!(first["environment_id"], json!(dev));
    assert_eq!(first["session_id"], json!(null));
    assert_eq!(first["verdict"], json!(Verdict::Allow));
}

/// Case 59, of a session that has cached what it listed.
#[tokio::test]
async fn what_a_session_has_listed_opens_nothing_once_it_is_elsewhere() {
    on_both(|place| async move {
        let (dev, prod) = (
            place.open_environment("dev").await,
            place.open_environment("prod").await,
        );
        let entry = place.enter("dev", &dev, place.url(0)).await.unwrap();
        let gateway = place.gateway("dev", &dev, None).await.unwrap();
        let id = gateway.gateway.id.to_string();
        let open = place.gateways.open(&place.caller, &id).await.unwrap();
        let session = open.view(Span::Session);
        let talk = Talk::silent();
        let listed = answered(session.ask(tools(), &talk).await).unwrap();
        assert!(super::names(&listed).contains(&"dev__ask"));
        assert!(answered(session.ask(call("dev__ask"), &talk).await).is_ok());
        let change = McpEntryChange {
            environment: Some(prod),
            ..McpEntryChange::default()
        };
        let entry = &entry.entry.id;
        place
            .control
            .update_mcp_entry(&place.caller, entry, change)
            .await
            .unwrap();
        let before = place.asked(0);
        let said = answered(session.ask(call("dev__ask"), &talk).await);
        assert!(said.unwrap_err().contains("unknown tool"));
        let listed = answered(session.ask(tools(), &talk).await).unwrap();
        assert!(super::names(&listed).is_empty());
        let calls = place.servers[0].asked()[before..]
            .iter()
            .filter(|asked| String::from_utf8_lossy(&asked.body).contains("tools/"))
            .count();
        assert_eq!(calls, 0);
    })
    .await;
}

/// Whoever may call servers otherwise has an entry of their own, whose URL a session has joined, and then gives its name to an entry with a
/// credential: what the session still says to the URL of then goes without the token of now.
#[tokio::test]
async fn a_name_that_becomes_another_servers_takes_no_token_to_the_one_before() {
    for is_elsewhere in [true, false] {
        let place = Place::sqlite().await;
        let server =
            || StandIn::start(|asked| answer("one", asked).with("mcp-session-id", "their-session"));
        let (good, evil) = (server(), server());
        let outbound = bailiwick_outbound::Outbound::new(
            dialer_with(&[
                &format!("good.example.com={}", good.address()),
                &format!("evil.example.com={}", evil.address()),
            ]),
            bailiwick_testkit::Authority::new().trusted(),
        );
        let control = Arc::new(super::server(&place.store, &outbound));
        let gateways = Arc::new(bailiwick_control::McpGateways::new(Arc::clone(&control)));
        let caller = &place.caller;
        let dev = place.open_environment("dev").await;
        let url = format!("http://good.example.com:{}/mcp", good.address().port());
        let theirs = match is_elsewhere {
            true => format!("http://evil.example.com:{}/mcp", evil.address().port()),
            false => url.replace("/mcp", "/other"),
        };
        let object = |value: serde_json::Value| value.as_object().unwrap().clone();
        let vault = object(json!({"display_name": "v"}));
        let vault = control.create_vault(caller, &vault).await.unwrap().id;
        let auth = json!({"type": "static_bearer", "token": "canary-1c7e", "mcp_server_url": url});
        let credential = object(json!({"auth": auth}));
        let made = control.create_credential(caller, &vault, &credential);
        made.await.unwrap();
        let mine = place.enter("x", &dev, theirs).await.unwrap();
        let other = place.enter("y", &dev, url).await.unwrap();
        let with_vault = McpEntryChange {
            vault: Some(Some(vault)),
            ..McpEntryChange::default()
        };
        let (mine, other) = (mine.entry.id, other.entry.id);
        let changed = control.update_mcp_entry(caller, &other, with_vault);
        changed.await.unwrap();
        let gateway = place.gateway("dev", &dev, None).await.unwrap();
        let id = gateway.gateway.id.to_string();
        let open = gateways.open(caller, &id).await.unwrap();
        let session = open.view(Span::Session);
        let talk = Talk::silent();
        assert!(answered(session.ask(call("x__ask"), &talk).await).is_ok());
        for (entry, name) in [(&mine, "before"), (&other, "x")] {
            let change = McpEntryChange {
                name: Some(name.to_owned()),
                ..McpEntryChange::default()
            };
            let renamed = control.update_mcp_entry(caller, entry, change);
            renamed.await.unwrap();
        }
        session.end().await;
        let shown = |server: &StandIn| -> Vec<String> {
            let asked = server.asked().into_iter();
            let asked = asked.filter(|asked| asked.header("authorization").is_some());
            asked.map(|asked| asked.target).collect()
        };
        assert_eq!(shown(&evil), [""; 0], "elsewhere: {is_elsewhere}");
        assert!(!shown(&good).iter().any(|target| target == "/other"));
        // The control: the server that it is for is shown it.
        let said = ask(&gateways, caller, &gateway, call("x__ask")).await;
        assert!(said.is_ok(), "{said:?}");
        assert!(shown(&good).iter().any(|target| target == "/mcp"));
    }
}
