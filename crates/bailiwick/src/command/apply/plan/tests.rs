//! Plans, from documents and from what a server would have.

use std::fmt::Write as _;

use bailiwick_wire::{DefaultKind, parse_declarations};
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::*;
use crate::command::apply::present::Present;
use crate::command::apply::show;
use crate::output::Colour;

fn documents(text: &str) -> Vec<Document> {
    let read = parse_declarations("all.yaml", text, DefaultKind::Environment).unwrap();
    let document = |one: bailiwick_wire::Declaration| Document {
        origin: Origin {
            file: "all.yaml".to_owned(),
            position: one.position,
        },
        declared: one.declared,
    };
    read.list.into_iter().map(document).collect()
}

fn present(environments: Value, agents: Value) -> Present {
    Present {
        environments: serde_json::from_value(environments).unwrap(),
        agents: serde_json::from_value(agents).unwrap(),
        ..Present::default()
    }
}

/// An environment of a server, without a policy of its own.
fn environment(name: &str, metadata: &Value) -> Value {
    json!({
        "id": format!("env_{name}"),
        "name": name,
        "description": null,
        "config": {"type": "cloud", "networking": {"type": "unrestricted"}, "packages": {"type": "packages", "apt": [], "cargo": [], "gem": [], "go": [], "npm": [], "pip": []}},
        "metadata": metadata,
        "restricted": false,
        "namespace": null,
        "inherits_policy": true,
        "version": 3,
    })
}

const REVIEWER: &str = "agent_11111111111111111111R1";

fn agent(id: &str, name: &str, metadata: &Value) -> Value {
    json!({
        "id": id, "type": "agent", "name": name, "description": null, "system": null,
        "model": {"id": "m", "effort": {"type": "high"}, "speed": "standard", "inference_geo": null},
        "tools": [], "mcp_servers": [], "skills": [], "multiagent": null,
        "execution_identity": {"type": "service_account"},
        "metadata": metadata, "version": 2, "revision": 5, "environment_id": null,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "archived_at": null,
    })
}

struct Case<'a> {
    documents: &'a str,
    present: Present,
    set: Option<&'a str>,
    prune: bool,
    take_over: bool,
}

impl Case<'_> {
    fn plan(&self) -> Result<Plan, Vec<PlanProblem>> {
        plan(&Asked {
            documents: &documents(self.documents),
            present: &self.present,
            set: self.set,
            prune: self.prune,
            take_over: self.take_over,
        })
    }

    /// The plan, and the bodies of its requests.
    fn told(&self) -> String {
        let plan = match self.plan() {
            Ok(plan) => plan,
            Err(problems) => {
                let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
                return lines.join("\n");
            }
        };
        let mut text = show::plan(&plan, Colour::Off);
        for item in &plan.items {
            if let Step::Update {
                body, placement, ..
            } = &item.step
            {
                let body = Value::Object(body.clone());
                writeln!(text, "{}: {body} {placement:?}", item.name).unwrap();
            }
        }
        text
    }
}

fn case(documents: &str, present: Present) -> Case<'_> {
    Case {
        documents,
        present,
        set: None,
        prune: false,
        take_over: false,
    }
}

fn of_set(documents: &str, present: Present) -> Case<'_> {
    Case {
        set: Some("payments"),
        prune: true,
        ..case(documents, present)
    }
}

#[test]
fn what_is_not_there_is_made_with_its_mark() {
    let text = "name: payments\nconfig: {type: cloud, networking: {type: limited, allowed_hosts: [a.example.com]}}\n---\nkind: Agent\nname: reviewer\nmodel: m\nenvironment: Payments\n";
    let case = of_set(text, Present::default());
    assert_snapshot!(case.told(), @r#"
    + environment payments
        + config.networking.allowed_hosts: "a.example.com"
        + config.networking.type: "limited"
        + config.type: "cloud"
        + metadata.apply-set: "payments"
    + agent reviewer
        + execution_identity.type: "service_account"
        + metadata.apply-set: "payments"
        + model.effort.type: "high"
        + model.id: "m"
        + model.speed: "standard"
        + environment: "Payments"
    2 to create
    "#);
    let plan = case.plan().unwrap();
    for item in &plan.items {
        let Step::Create { body, .. } = &item.step else {
            panic!("{item:?}")
        };
        assert_eq!(body["metadata"], json!({MARK: "payments"}));
    }
}

#[test]
fn what_is_as_declared_is_left_alone() {
    let there = present(
        json!([environment("payments", &json!({"team": "pay"}))]),
        json!([agent(REVIEWER, "reviewer", &json!({}))]),
    );
    let text = "name: PAYMENTS\nmetadata: {team: pay, empty: ''}\n---\nkind: Agent\nname: reviewer\nmodel: m\n";
    let told = case(text, there).told();
    // A name is the same without regard to case, and said as the document says it.
    assert_snapshot!(told, @r#"
    ~ environment PAYMENTS (env_payments)
        ~ name: "payments" -> "PAYMENTS"
    = agent reviewer (agent_11111111111111111111R1)
    1 to update, 1 unchanged
    PAYMENTS: {"name":"PAYMENTS"} None
    "#);
}

#[test]
fn a_second_plan_has_nothing_to_do() {
    let mut made = environment("payments", &json!({MARK: "payments"}));
    made["restricted"] = json!(true);
    made["namespace"] = json!("pay");
    let there = present(
        json!([made]),
        json!([agent(REVIEWER, "reviewer", &json!({MARK: "payments"}))]),
    );
    let text = "name: payments\n---\nkind: Agent\nname: reviewer\nmodel: {id: m, effort: high}\n";
    let plan = of_set(text, there).plan().unwrap();
    assert!(plan.has_nothing_to_do(), "{plan:?}");
}

#[test]
fn a_change_names_what_goes_as_well() {
    let mut there = environment("payments", &json!({"team": "pay", "old": "x"}));
    there["inherits_policy"] = json!(false);
    there["config"]["networking"] = json!({"type": "limited", "allowed_hosts": ["a.example.com", "b.example.com"], "allow_package_managers": false, "allow_mcp_servers": false, "denied_hosts": ["x.example.com"]});
    there["config"]["project"] = json!({"repository": "https://git.example.com/a.git"});
    let text = "name: payments\ndescription: what pays\nmetadata: {team: pay, new: y}\nconfig:\n  type: cloud\n  networking: {type: limited, allowed_hosts: [b.example.com, c.example.com]}\n  packages: {pip: [six]}\n";
    // What is installed comes from registries.
    let text = text.replace(
        "c.example.com]",
        "c.example.com], allow_package_managers: true",
    );
    assert_snapshot!(case(&text, present(json!([there]), json!([]))).told(), @r#"
    ~ environment payments (env_payments)
        ~ config.networking.allow_package_managers: false -> true
        - config.networking.allowed_hosts: "a.example.com"
        + config.networking.allowed_hosts: "c.example.com"
        - config.networking.denied_hosts: "x.example.com"
        + config.packages.pip: "six"
        - config.project.repository: "https://git.example.com/a.git"
        + description: "what pays"
        - metadata.old: "x"
        + metadata.new: "y"
    1 to update
    payments: {"config":{"networking":{"allow_mcp_servers":false,"allow_package_managers":true,"allowed_hosts":["b.example.com","c.example.com"],"denied_hosts":null,"type":"limited"},"packages":{"apt":[],"cargo":[],"gem":[],"go":[],"npm":[],"pip":["six"],"type":"packages"},"project":null,"type":"cloud"},"description":"what pays","metadata":{"new":"y","old":null}} None
    "#);
}

#[test]
fn a_policy_of_its_own_is_given_up_when_none_is_declared() {
    let mut there = environment("payments", &json!({}));
    there["inherits_policy"] = json!(false);
    assert_snapshot!(case("name: payments\n", present(json!([there]), json!([]))).told(), @r#"
    ~ environment payments (env_payments)
        - config.networking.type: "unrestricted"
        ~ inherits_policy: false -> true
    1 to update
    payments: {"config":{"packages":{"apt":[],"cargo":[],"gem":[],"go":[],"npm":[],"pip":[],"type":"packages"},"type":"cloud"},"inherits_policy":true} None
    "#);
}

#[test]
fn an_agent_is_changed_by_its_fields_and_moved() {
    let mut there = agent(REVIEWER, "reviewer", &json!({"a": "1"}));
    there["environment_id"] = json!("env_old");
    there["system"] = json!("Read.");
    let there = present(
        json!([
            environment("old", &json!({})),
            environment("new", &json!({}))
        ]),
        json!([there]),
    );
    let text = "kind: Agent\nname: reviewer\nmodel: {id: m, effort: low}\nenvironment: new\ntools: [{type: agent_toolset_20260401}]\n";
    assert_snapshot!(case(text, there).told(), @r#"
    ~ agent reviewer (agent_11111111111111111111R1)
        - metadata.a: "1"
        ~ model.effort.type: "high" -> "low"
        - system: "Read."
        + tools[0].default_config.enabled: true
        + tools[0].default_config.permission_policy.type: "always_allow"
        + tools[0].type: "agent_toolset_20260401"
        ~ environment: "old" -> "new"
    1 to update
    reviewer: {"metadata":{"a":null},"model":{"effort":{"type":"low"},"id":"m","inference_geo":null,"speed":"standard"},"system":null,"tools":[{"configs":[],"default_config":{"enabled":true,"permission_policy":{"type":"always_allow"}},"type":"agent_toolset_20260401"}]} Some(Placement { environment: Some("new"), revision: 5 })
    "#);
}

#[test]
fn a_version_that_is_not_named_is_the_one_that_is_stored() {
    let other = "agent_11111111111111111111R2";
    let mut there = agent(REVIEWER, "lead", &json!({}));
    there["multiagent"] = json!({"type": "coordinator", "agents": [
        {"type": "agent", "id": other, "version": 7}, {"type": "agent", "id": REVIEWER, "version": 2},
    ]});
    let text = |version: &str| {
        format!(
            "kind: Agent\nname: lead\nmodel: m\nmultiagent:\n  type: coordinator\n  agents:\n  - {{type: agent, id: {other}{version}}}\n  - {{type: self}}\n"
        )
    };
    let there = || present(json!([]), json!([there]));
    assert!(case(&text(""), there()).plan().unwrap().has_nothing_to_do());
    assert!(
        case(&text(", version: 7"), there())
            .plan()
            .unwrap()
            .has_nothing_to_do()
    );
    assert_snapshot!(case(&text(", version: 6"), there()).told(), @r#"
    ~ agent lead (agent_11111111111111111111R1)
        ~ multiagent.agents[0].version: 7 -> 6
    1 to update
    lead: {"multiagent":{"agents":[{"id":"agent_11111111111111111111R2","type":"agent","version":6},{"type":"self"}],"type":"coordinator"}} None
    "#);
}

#[test]
fn what_the_set_made_and_nobody_declares_is_archived_and_nothing_else() {
    let there = || {
        present(
            json!([
                environment("kept", &json!({MARK: "payments"})),
                environment("gone", &json!({MARK: "payments"})),
                environment("theirs", &json!({MARK: "other"})),
                environment("by-hand", &json!({})),
            ]),
            json!([
                agent(REVIEWER, "reviewer", &json!({MARK: "payments"})),
                agent(
                    "agent_11111111111111111111R2",
                    "theirs",
                    &json!({MARK: "other"})
                ),
            ]),
        )
    };
    assert_snapshot!(of_set("name: kept\n", there()).told(), @r"
    = environment kept (env_kept)
    - agent reviewer (agent_11111111111111111111R1): is archived
    - environment gone (env_gone): is archived
    2 to archive, 1 unchanged
    ");
    let without_prune = Case {
        prune: false,
        ..of_set("name: kept\n", there())
    };
    assert!(without_prune.plan().unwrap().has_nothing_to_do());
}

#[test]
fn what_another_set_made_is_refused_unless_it_is_taken_over() {
    let there = || {
        present(
            json!([
                environment("theirs", &json!({MARK: "other"})),
                environment("by-hand", &json!({}))
            ]),
            json!([]),
        )
    };
    let text = "name: theirs\n---\nname: by-hand\n";
    assert_snapshot!(of_set(text, there()).told(), @r#"
    all.yaml:1:7: environment "theirs" belongs to the set "other": apply it there, or take it over with --set and --take-over
    "#);
    assert_snapshot!(case(text, there()).told(), @r#"
    all.yaml:1:7: environment "theirs" belongs to the set "other": apply it there, or take it over with --set and --take-over
    "#);
    let taken = Case {
        take_over: true,
        ..of_set(text, there())
    };
    assert_snapshot!(taken.told(), @r#"
    ~ environment theirs (env_theirs)
        ~ metadata.apply-set: "other" -> "payments"
    ~ environment by-hand (env_by-hand)
        + metadata.apply-set: "payments"
    2 to update
    theirs: {"metadata":{"apply-set":"payments"}} None
    by-hand: {"metadata":{"apply-set":"payments"}} None
    "#);
}

#[test]
fn of_agents_with_one_name_the_sets_own_is_meant() {
    let second = "agent_11111111111111111111R2";
    let text = "kind: Agent\nname: reviewer\nmodel: m\n";
    let there = |mark: Value| {
        present(
            json!([]),
            json!([
                agent(REVIEWER, "reviewer", &json!({})),
                agent(second, "reviewer", &mark)
            ]),
        )
    };
    let plan = of_set(text, there(json!({MARK: "payments"})))
        .plan()
        .unwrap();
    assert_eq!(
        plan.items[0].step,
        Step::Unchanged {
            id: second.to_owned()
        }
    );
    assert_snapshot!(of_set(text, there(json!({}))).told(), @r#"
    all.yaml:2:7: agent "reviewer" may be any of agent_11111111111111111111R1, agent_11111111111111111111R2: archive or rename all but one
    "#);
}

#[test]
fn an_agent_is_placed_where_there_is_an_environment() {
    let text = "kind: Agent\nname: reviewer\nmodel: m\nenvironment: gone\n";
    assert_snapshot!(case(text, Present::default()).told(), @r#"
    all.yaml:2:7: agent "reviewer" is placed in the environment "gone", which is neither declared nor on the server
    "#);
    let there = present(
        json!([environment("gone", &json!({MARK: "payments"}))]),
        json!([]),
    );
    assert_snapshot!(of_set(text, there).told(), @r#"
    all.yaml:2:7: agent "reviewer" is placed in the environment "gone", which is not declared any more and would be archived by --prune
    "#);
}

#[test]
fn an_environment_stays_of_its_type() {
    let there = present(json!([environment("farm", &json!({}))]), json!([]));
    assert_snapshot!(case("name: farm\nconfig: {type: self_hosted}\n", there).told(), @r#"
    all.yaml:1:7: environment "farm" is of type "cloud" on the server, which cannot become "self_hosted": archive it first, or choose another name
    "#);
}
