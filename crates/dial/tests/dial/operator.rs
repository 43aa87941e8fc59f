//! What the operator chose, within a policy.

use bailiwick_dial::{DialError, DialOptions, Dialer, ProxySettings, ProxyUrl};
use bailiwick_model::{Destination, Reason};
use bailiwick_policy::{EgressPolicy, HostFacts};

use crate::world::{greeter, name, options, policy};

/// Why it is not connected to, or nothing.
fn refused(options: DialOptions, within: EgressPolicy, to: &Destination) -> Option<Reason> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let within = policy(within);
    let dialing = async {
        Dialer::new(options)
            .dial_for_operator_within(&within, to)
            .await
    };
    match runtime.block_on(dialing) {
        Ok(_) => None,
        Err(DialError::Denied(decision)) => Some(decision.reason),
        Err(DialError::NameNotFound) => None,
        Err(error) => panic!("{error}"),
    }
}

fn denying(host: &str, cidr: &str) -> EgressPolicy {
    EgressPolicy {
        denied_hosts: [host].iter().flat_map(|text| text.parse()).collect(),
        denied_cidrs: [cidr].iter().flat_map(|text| text.parse()).collect(),
        ..EgressPolicy::unrestricted()
    }
}

#[test]
fn what_is_denied_expressly_holds_for_the_operators_choice_and_nothing_else_does() {
    let server = greeter();
    let pinned = || options(&[format!("a.test={server}")], HostFacts::unknown());
    let to = name("a.test", server.port());
    // On this machine, and without a rule.
    assert_eq!(refused(pinned(), EgressPolicy::limited(), &to), None);
    let by_name = denying("a.test", "");
    assert_eq!(refused(pinned(), by_name, &to), Some(Reason::DeniedRule));
    let by_address = || denying("", "127.0.0.0/8");
    assert_eq!(
        refused(pinned(), by_address(), &to),
        Some(Reason::DeniedRule)
    );
    let literal = Destination::tcp_address(server.ip(), server.port());
    assert_eq!(
        refused(pinned(), by_address(), &literal),
        Some(Reason::DeniedRule)
    );
    let elsewhere = denying("b.test", "192.0.2.0/24");
    assert_eq!(refused(pinned(), elsewhere, &to), None);
}

#[test]
fn a_name_that_a_proxy_resolves_is_refused_where_addresses_are_denied() {
    let url = ProxyUrl::parse("http://127.0.0.1:1").unwrap();
    let through = || DialOptions {
        proxy: Some(ProxySettings::new(url.clone())),
        ..options(&[], HostFacts::unknown())
    };
    let to = name("a.test", 443);
    assert_eq!(
        refused(through(), denying("", "192.0.2.0/24"), &to),
        Some(Reason::UnverifiedAddress)
    );
}
