//! LLM proxies and limits that are declared.

use serde_json::json;

use super::{Applied, REVIEWER};

const DOOR: &str = "kind: LlmProxy\nname: door\nenvironment: payments\nmodels: [claude-*]\n";
const LIMITS: &str = "\
kind: Limit
name: payments a day
for: {environment: payments}
max_cost_usd: 30
window: 24h
thresholds: [80, 100]
---
kind: Limit
name: through the door
for: {llm_proxy: door}
in: payments
max_tokens: 1000000
window: month
enforcement: soft
models: [claude-*]
---
kind: Limit
name: everybody
for: each_user
max_cost_usd: \"5.5\"
window: day
---
kind: Limit
name: the reviewer
for: {agent: reviewer}
max_cost_usd: 1
window: 7d
";

fn names(place: &Applied, list: &str) -> Vec<String> {
    let all = place.json(list);
    let mut names: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn what_may_be_spent_is_declared_changed_and_taken_away_with_its_set() {
    let place = Applied::new(&[
        ("all/payments.yaml", "name: payments\n"),
        ("all/reviewer.yaml", REVIEWER),
        ("all/door.yaml", DOOR),
        ("all/limits.yaml", LIMITS),
    ]);
    let apply = "apply -f all --set money --prune --yes";
    let made = place.does(apply);
    assert!(made.contains("7 to create"), "{made}");
    let again = place.does(apply);
    assert!(again.contains("nothing to do: 7 unchanged"), "{again}");
    let limits = place.json("limit list");
    let of_door = limits.as_array().unwrap().iter();
    let of_door = of_door
        .clone()
        .find(|one| one["name"] == "through the door");
    let of_door = of_door.unwrap();
    let door = &place.json("llm-proxy get door");
    assert_eq!(
        of_door["entity"],
        json!({"type": "llm_proxy", "id": door["id"]})
    );
    assert_eq!(of_door["environment_id"], door["environment_id"]);
    assert_eq!(of_door["apply_set"], "money");
    // What somebody set by hand is nobody's.
    place.does("limit create --organization --max-cost 1000 --window month --name by-hand");
    let more = LIMITS.replace("max_cost_usd: 30", "max_cost_usd: 50");
    let (more, _) = more
        .split_once("---\nkind: Limit\nname: everybody")
        .unwrap();
    place.machine.write("all/limits.yaml", more);
    place
        .machine
        .write("all/door.yaml", DOOR.replace("claude-*", "gpt-*"));
    let changed = place.does(apply);
    assert!(
        changed.contains("2 to update, 2 to delete, 3 unchanged"),
        "{changed}"
    );
    assert!(
        changed.contains("~ max_cost_usd: \"30.00\" -> \"50.00\""),
        "{changed}"
    );
    assert!(changed.contains("deleted limit everybody"), "{changed}");
    let expected = ["by-hand", "payments a day", "through the door"];
    assert_eq!(names(&place, "limit list"), expected);
    // A change by hand keeps the name and the set.
    let id = of_door["id"].as_str().unwrap();
    place.does(&format!(
        "limit update {id} --llm-proxy door --max-tokens 5 --window month"
    ));
    place
        .machine
        .write("rest/payments.yaml", "name: payments\n");
    place.does("apply -f rest --set money --prune --yes");
    assert_eq!(names(&place, "limit list"), ["by-hand"]);
    assert_eq!(names(&place, "llm-proxy list"), Vec::<String>::new());
}

#[test]
fn a_limit_for_what_is_not_there_and_one_that_is_none_are_refused_before_anything_is_written() {
    let place = Applied::new(&[
        (
            "nobody.yaml",
            "kind: Limit\nname: a\nfor: {team: nobody}\nmax_cost_usd: 1\nwindow: day\n",
        ),
        (
            "wrong.yaml",
            "kind: Limit\nname: a\nfor: nobody\nmax_cost_usd: 1\nmax_tokens: 1\nwindow: year\nthresholds: [0]\nmuch: 1\n",
        ),
        ("elsewhere.yaml", DOOR),
    ]);
    let before = place.writes();
    let nobody = place.asks("apply -f nobody.yaml --yes").exits(2).stderr;
    assert!(nobody.contains("names the team \"nobody\""), "{nobody}");
    let elsewhere = place.asks("apply -f elsewhere.yaml --yes").exits(2).stderr;
    assert!(
        elsewhere.contains("names the environment \"payments\""),
        "{elsewhere}"
    );
    let wrong = place.asks("apply -f wrong.yaml --yes").exits(2).stderr;
    for field in ["for", "max_tokens", "window", "thresholds", "much"] {
        assert!(wrong.contains(&format!("{field}: ")), "{field}: {wrong}");
    }
    assert_eq!(place.writes(), before);
}
