//! Knowledge connectors that are declared.

use serde_json::Value;

use super::Applied;

const ENVIRONMENT: &str = "name: payments\nconfig: {type: cloud, networking: {type: limited, allowed_hosts: [handbook.example.com]}}\n";
const HANDBOOK: &str = "\
kind: KnowledgeConnector
name: handbook
environment: payments
source:
  type: web
  url: https://handbook.example.com/
schedule: {daily_at: \"03:30\"}
";

fn connectors(place: &Applied) -> Vec<Value> {
    let all = place.json("knowledge-connector list");
    all.as_array().unwrap().clone()
}

#[test]
fn what_is_known_is_declared_changed_and_taken_away_with_its_set() {
    let place = Applied::new(&[
        ("all/payments.yaml", ENVIRONMENT),
        ("all/handbook.yaml", HANDBOOK),
    ]);
    let apply = "apply -f all --set known --prune --yes";
    let made = place.does(apply);
    assert!(made.contains("2 to create"), "{made}");
    assert!(made.contains("+ source.type: \"web\""), "{made}");
    assert!(
        made.contains("created knowledge connector handbook"),
        "{made}"
    );
    let again = place.does(apply);
    assert!(again.contains("nothing to do: 2 unchanged"), "{again}");
    let [handbook] = &connectors(&place)[..] else {
        panic!("not one connector")
    };
    assert_eq!(handbook["apply_set"], "known");
    assert_eq!(handbook["schedule"]["daily_at"], "03:30");
    let changed = HANDBOOK
        .replace("schedule: {daily_at: \"03:30\"}\n", "")
        .replace(
            "  type: web\n",
            "  type: web\n  gather: crawl\n  depth: 2\n",
        );
    place.machine.write("all/handbook.yaml", changed);
    let changed = place.does(apply);
    assert!(changed.contains("1 to update, 1 unchanged"), "{changed}");
    assert!(
        changed.contains("~ source.gather: \"sitemap\" -> \"crawl\""),
        "{changed}"
    );
    assert!(
        changed.contains("- schedule.daily_at: \"03:30\""),
        "{changed}"
    );
    let again = place.does(apply);
    assert!(again.contains("nothing to do: 2 unchanged"), "{again}");
    // What somebody made by hand is nobody's; what is not declared any more goes, and its environment after it.
    place.does("environment create --name other");
    place.does(
        "knowledge-connector create by-hand --environment other --web https://other.example.com/",
    );
    place.machine.write("rest/nothing.yaml", "name: third\n");
    let gone = place.does("apply -f rest --set known --prune --yes");
    assert!(
        gone.contains("deleted knowledge connector handbook"),
        "{gone}"
    );
    assert!(gone.contains("archived environment payments"), "{gone}");
    let left = connectors(&place);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["name"], "by-hand");
}

#[test]
fn what_cannot_be_read_there_is_refused() {
    let place = Applied::new(&[
        ("nowhere.yaml", HANDBOOK),
        (
            "wrong.yaml",
            "kind: KnowledgeConnector\nname: a\nenvironment: payments\nsource: handbook\nwhen: now\n",
        ),
        (
            "unknown.yaml",
            "name: payments\n---\nkind: KnowledgeConnector\nname: a\nenvironment: payments\nsource: {type: tape, reel: 1}\n",
        ),
        (
            "denied.yaml",
            "name: payments\nconfig: {type: cloud, networking: {type: limited}}\n---\nkind: KnowledgeConnector\nname: a\nenvironment: payments\nsource: {type: web, url: 'https://handbook.example.com/'}\n",
        ),
    ]);
    let before = place.writes();
    let nowhere = place.asks("apply -f nowhere.yaml --yes").exits(2).stderr;
    assert!(
        nowhere.contains("names the environment \"payments\""),
        "{nowhere}"
    );
    let wrong = place.asks("apply -f wrong.yaml --yes").exits(2).stderr;
    for field in ["source", "when"] {
        assert!(wrong.contains(&format!("{field}: ")), "{field}: {wrong}");
    }
    let unknown = place.asks("apply -f unknown.yaml --yes").exits(2).stderr;
    assert!(
        unknown.contains("source of knowledge connector \"a\"") && unknown.contains("tape"),
        "{unknown}"
    );
    assert_eq!(place.writes(), before);
    // What its policy denies is for the server to say.
    let denied = place.asks("apply -f denied.yaml --yes").exits(3).stderr;
    assert!(denied.contains("no_rule"), "{denied}");
    assert!(connectors(&place).is_empty());
}
