//! Whatever is assigned, moved, detached and deleted, in whatever order: nothing of another environment answers.

use bailiwick_control::{McpEntryChange, McpGatewayChange, OnConflict};
use bailiwick_model::EnvironmentId;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;

use super::{Place, assigned, call, names, tools};

/// One step. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Assign(usize, Vec<usize>),
    AllTools(usize),
    MoveEntry(usize, usize, bool),
    MoveGateway(usize, usize, bool),
    DeleteEntry(usize),
    Call(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let few = || 0..3_usize;
    prop_oneof![
        (few(), vec(few(), 0..3)).prop_map(|(gateway, entries)| Step::Assign(gateway, entries)),
        few().prop_map(Step::AllTools),
        (few(), few(), any::<bool>())
            .prop_map(|(entry, to, detach)| Step::MoveEntry(entry, to, detach)),
        (few(), few(), any::<bool>())
            .prop_map(|(gateway, to, detach)| Step::MoveGateway(gateway, to, detach)),
        few().prop_map(Step::DeleteEntry),
        (few(), few()).prop_map(|(gateway, entry)| Step::Call(gateway, entry)),
        (few(), few()).prop_map(|(gateway, entry)| Step::Call(gateway, entry)),
    ]
}

/// What a test has made, and where each thing is, as the use cases said.
struct World<'a> {
    place: &'a Place,
    environments: Vec<EnvironmentId>,
    entries: Vec<Option<bailiwick_control::McpEntryView>>,
    gateways: Vec<bailiwick_control::McpGatewayView>,
}

fn on_conflict(detach: bool) -> OnConflict {
    match detach {
        true => OnConflict::Detach,
        false => OnConflict::Refuse,
    }
}

impl World<'_> {
    async fn take(&mut self, step: &Step) {
        let (control, caller) = (&self.place.control, &self.place.caller);
        match step {
            Step::Assign(gateway, entries) => {
                let mut all: Vec<_> = entries.clone();
                all.sort_unstable();
                all.dedup();
                let named = all.iter().filter_map(|at| self.entries[*at].as_ref());
                let change = McpGatewayChange {
                    access: Some(bailiwick_control::McpGatewayAccess::Explicit),
                    entries: Some(named.map(assigned).collect()),
                    ..McpGatewayChange::default()
                };
                self.change_gateway(*gateway, change).await;
            }
            Step::AllTools(gateway) => {
                let change = McpGatewayChange {
                    access: Some(bailiwick_control::McpGatewayAccess::AllTools),
                    ..McpGatewayChange::default()
                };
                self.change_gateway(*gateway, change).await;
            }
            Step::MoveGateway(gateway, to, detach) => {
                let change = McpGatewayChange {
                    environment: Some(self.environments[*to].clone()),
                    on_conflict: on_conflict(*detach),
                    ..McpGatewayChange::default()
                };
                self.change_gateway(*gateway, change).await;
            }
            Step::MoveEntry(entry, to, detach) => {
                let Some(known) = &self.entries[*entry] else {
                    return;
                };
                let change = McpEntryChange {
                    environment: Some(self.environments[*to].clone()),
                    on_conflict: on_conflict(*detach),
                    ..McpEntryChange::default()
                };
                let moved = control.update_mcp_entry(caller, &known.entry.id, change);
                if let Ok(moved) = moved.await {
                    self.entries[*entry] = Some(moved);
                }
            }
            Step::DeleteEntry(entry) => {
                if let Some(gone) = self.entries[*entry].take() {
                    let gone = control.delete_mcp_entry(caller, &gone.entry.id);
                    gone.await.unwrap();
                }
            }
            Step::Call(gateway, entry) => self.call(*gateway, *entry).await,
        }
    }

    async fn change_gateway(&mut self, at: usize, change: McpGatewayChange) {
        let (control, caller) = (&self.place.control, &self.place.caller);
        let id = &self.gateways[at].gateway.id;
        if let Ok(changed) = control.update_mcp_gateway(caller, id, change).await {
            self.gateways[at] = changed;
        }
    }

    /// What is listed and what answers is of the gateway's environment, and is there.
    async fn call(&self, gateway: usize, entry: usize) {
        let gateway = &self.gateways[gateway];
        let is_here = |at: usize| {
            let known = self.entries[at].as_ref();
            known
                .is_some_and(|it| it.entry.values.environment == gateway.gateway.values.environment)
        };
        let said = self
            .place
            .ask(gateway, call(&format!("entry{entry}__ask")))
            .await;
        assert!(said.is_err() || is_here(entry), "{said:?} of {gateway:?}");
        let listed = self.place.ask(gateway, tools()).await.unwrap();
        for name in names(&listed) {
            let at: usize = name["entry".len()..=5].parse().unwrap();
            assert!(is_here(at), "{name} of {gateway:?}");
        }
        let is_all = gateway.config.access == bailiwick_control::McpGatewayAccess::AllTools;
        let known = self.entries[entry].as_ref();
        let is_named = known.is_some_and(|known| {
            let mut named = gateway.entries.iter();
            named.any(|it| it.entry_id == known.entry.id)
        });
        if is_here(entry) && is_all {
            assert!(said.is_ok(), "the control: what is here answers: {said:?}");
        }
        if !is_all && !is_named {
            assert!(said.is_err(), "{said:?} was not named by {gateway:?}");
        }
    }
}

async fn run(place: &Place, number: u32, steps: &[Step]) {
    let mut world = World {
        place,
        environments: Vec::new(),
        entries: Vec::new(),
        gateways: Vec::new(),
    };
    for at in 0..3 {
        let environment = place.open_environment(&format!("e{number}-{at}")).await;
        let name = format!("entry{at}");
        let entry = place.enter(&name, &environment, place.url(at)).await;
        world.entries.push(Some(entry.unwrap()));
        let name = format!("g{number}-{at}");
        let gateway = place.gateway(&name, &environment, None).await;
        world.gateways.push(gateway.unwrap());
        world.environments.push(environment);
    }
    for step in steps {
        world.take(step).await;
    }
    for gateway in 0..3 {
        for entry in 0..3 {
            world.call(gateway, entry).await;
        }
    }
}

#[test]
fn no_sequence_of_changes_and_calls_gives_a_foreign_answer() {
    let runtime = Runtime::new().unwrap();
    let place = runtime.block_on(Place::sqlite());
    let number = std::cell::Cell::new(0);
    let config = Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let checked = runner.run(&vec(step(), 1..14), |steps| {
        number.set(number.get() + 1);
        runtime.block_on(run(&place, number.get(), &steps));
        Ok(())
    });
    checked.unwrap();
}
