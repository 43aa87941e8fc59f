//! What the rules say, and, with the feature `system-tests`, that the kernel does it.

use super::NetworkPlan;

#[cfg(feature = "system-tests")]
mod namespace;
#[cfg(feature = "system-tests")]
mod system;

#[test]
fn the_rules_are_these() {
    assert_eq!(
        NetworkPlan::standard().to_string(),
        include_str!("tests/standard.nft")
    );
}

#[test]
fn a_plan_survives_being_sent_to_the_init() {
    for plan in [NetworkPlan::standard(), NetworkPlan::without_ipv6()] {
        let sent = serde_json::to_vec(&plan).unwrap();
        assert_eq!(serde_json::from_slice::<NetworkPlan>(&sent).unwrap(), plan);
    }
}
