//! The fake behaves like a backend, and like a bad one where it is told to.

use super::*;
use crate::conformance::Harness;
use crate::{Command, ExitStatus};

struct OfFake(Arc<Fake>);

impl Harness for OfFake {
    type Policy = String;

    fn runtime(&self) -> Arc<dyn Runtime<Policy = String>> {
        Arc::clone(&self.0) as Arc<dyn Runtime<Policy = String>>
    }

    fn policy(&self) -> String {
        String::from("nothing")
    }
}

fn harness() -> OfFake {
    OfFake(Arc::new(Fake::new()))
}

mod complete {
    crate::conformance_tests!(super::harness());
}

mod with_the_least {
    fn least() -> super::OfFake {
        let fake = super::FakeBuilder::default()
            .conformance_programs()
            .without(super::Verb::Adopt)
            .without(super::Verb::ApplyPolicy)
            .without(super::Verb::Checkpoint)
            .without(super::Verb::Terminal)
            .slow(std::time::Duration::from_millis(1));
        super::OfFake(std::sync::Arc::new(fake.build()))
    }
    crate::conformance_tests!(least());
}

fn spec(policy: &str) -> SandboxSpec<String> {
    SandboxSpec::new("one".parse().unwrap(), policy.into())
}

#[tokio::test]
#[should_panic(expected = "sandboxes were left running: one")]
async fn a_sandbox_that_is_left_running_fails_the_test() {
    let fake = Fake::new();
    let _running = fake.start(spec("")).await.unwrap();
}

#[tokio::test]
async fn a_start_fails_when_it_is_told_to_and_leaves_nothing() {
    let fake = Fake::new();
    fake.fail_next_start(Error::Refused {
        feature: "user namespaces".into(),
        remedy: Some("a sysctl".into()),
    });
    let refused = fake.start(spec("")).await.err().unwrap();
    assert_eq!(
        refused.to_string(),
        "refused: this needs user namespaces (a sysctl)"
    );
    assert!(fake.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lost_sandbox_tells_so_and_ends_its_programs() {
    let fake = Fake::new();
    let mut running = fake.start(spec("")).await.unwrap();
    let sleeping = running
        .sandbox
        .exec(Command::new(crate::conformance::programs::SLEEP))
        .await
        .unwrap();
    fake.lose(running.sandbox.id()).await.unwrap();
    assert_eq!(running.events.recv().await, Some(Event::Started));
    assert_eq!(
        running.events.recv().await,
        Some(Event::Stopped(StopReason::Lost))
    );
    assert_eq!(running.events.recv().await, None);
    assert_eq!(
        sleeping.control.wait().await.unwrap(),
        ExitStatus::Signaled(9)
    );
}

#[tokio::test]
async fn the_policies_of_a_sandbox_are_recorded() {
    let fake = Fake::new();
    let running = fake.start(spec("wide")).await.unwrap();
    running.sandbox.apply_policy("narrow".into()).await.unwrap();
    assert_eq!(
        fake.policies(running.sandbox.id()).unwrap(),
        ["wide", "narrow"]
    );
    running.sandbox.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn an_event_waits_for_its_reader() {
    let fake = Fake::new();
    let mut running = fake.start(spec("")).await.unwrap();
    let id = running.sandbox.id().clone();
    for _ in 1..EVENTS_WAITING {
        fake.emit(&id, Event::OutOfMemory).await.unwrap();
    }
    let full = tokio::time::timeout(
        Duration::from_millis(20),
        fake.emit(&id, Event::OutOfMemory),
    )
    .await;
    assert!(full.is_err(), "nothing is lost for want of room");
    running.events.recv().await.unwrap();
    fake.emit(&id, Event::OutOfMemory).await.unwrap();
    running.events.close();
    running.sandbox.stop(Duration::ZERO).await.unwrap();
}
