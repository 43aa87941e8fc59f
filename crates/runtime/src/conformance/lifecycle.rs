//! Starting, finding and stopping.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{GRACE, Harness, is_gone, last_event, programs, run, spec, started, stop, within};
use crate::{Checkpoint, Command, Error, Event, ExitStatus, SpecProblem, StopReason, Verb};

/// [`Runtime::list`](crate::Runtime::list) tells what runs.
pub async fn what_was_started_is_listed_until_it_is_stopped<H: Harness>(harness: &H) {
    let runtime = harness.runtime();
    let mut spec = spec(harness);
    spec.environment = Some("conformance".parse().expect("a name"));
    let id = spec.id.clone();
    let running = runtime.start(spec).await.expect("a sandbox starts");
    let listed = runtime.list().await.expect("a list");
    let found = listed
        .iter()
        .find(|summary| summary.id == id)
        .expect("it is listed");
    assert_eq!(
        found
            .environment
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("conformance")
    );
    assert_eq!(running.sandbox.id(), &id);
    stop(running).await;
    assert!(
        runtime
            .list()
            .await
            .expect("a list")
            .iter()
            .all(|summary| summary.id != id)
    );
}

/// Two sandboxes never have one id at one time; afterwards it is free.
pub async fn an_id_that_runs_cannot_be_used_again<H: Harness>(harness: &H) {
    let spec = spec(harness);
    let first = harness
        .runtime()
        .start(spec.clone())
        .await
        .expect("a sandbox starts");
    assert!(
        matches!(harness.runtime().start(spec.clone()).await.err(), Some(Error::Exists(id)) if id == spec.id)
    );
    assert_eq!(
        run(&first, &programs::TRUE, |_| {}).await.0,
        ExitStatus::Exited(0),
        "the first one was not disturbed"
    );
    stop(first).await;
    stop(
        harness
            .runtime()
            .start(spec)
            .await
            .expect("the id is free again"),
    )
    .await;
}

/// Every backend makes the checks of [`SandboxSpec::validate`](crate::SandboxSpec::validate).
pub async fn a_wrong_spec_starts_nothing<H: Harness>(harness: &H) {
    let mut spec = spec(harness);
    spec.limits.memory_bytes = Some(0);
    let id = spec.id.clone();
    let refused = harness.runtime().start(spec).await.err();
    assert!(
        matches!(
            refused,
            Some(Error::InvalidSpec {
                problem: SpecProblem::Zero,
                ..
            })
        ),
        "{refused:?}"
    );
    assert!(
        harness
            .runtime()
            .list()
            .await
            .expect("a list")
            .iter()
            .all(|summary| summary.id != id)
    );
}

/// Every verb of a stopped sandbox says so.
pub async fn a_stopped_sandbox_is_gone_and_stopping_it_again_is_no_error<H: Harness>(harness: &H) {
    let running = started(harness).await;
    let sandbox = Arc::clone(&running.sandbox);
    stop(running).await;
    sandbox
        .stop(GRACE)
        .await
        .expect("stopping twice is no error");
    assert!(is_gone(&sandbox.exec(Command::new(programs::TRUE)).await));
    assert!(is_gone(
        &sandbox.read_file(Path::new("/etc/passwd"), 1 << 20).await
    ));
    assert!(is_gone(&sandbox.list_files(Path::new("/"), 1000).await));
}

/// No program outlives its sandbox.
pub async fn stopping_ends_what_runs_inside<H: Harness>(harness: &H) {
    let running = started(harness).await;
    let sleeping = running
        .sandbox
        .exec(Command::new(programs::SLEEP))
        .await
        .expect("it starts");
    stop(running).await;
    let status = within(sleeping.control.wait()).await;
    assert!(
        matches!(status, Ok(ExitStatus::Signaled(_)) | Err(Error::Gone(_))),
        "{status:?}"
    );
}

/// The channel of events has a beginning and an end.
pub async fn events_begin_with_started_and_end_with_stopped<H: Harness>(harness: &H) {
    let mut running = started(harness).await;
    assert_eq!(within(running.events.recv()).await, Some(Event::Started));
    running.sandbox.stop(GRACE).await.expect("it stops");
    assert_eq!(last_event(&mut running).await, Some(StopReason::Requested));
}

/// [`Sandbox::mark`](crate::Sandbox::mark) and [`Sandbox::gone`](crate::Sandbox::gone).
pub async fn a_mark_is_told_and_the_end_is_known_to_whoever_reads_no_events<H: Harness>(
    harness: &H,
) {
    let mut running = started(harness).await;
    assert_eq!(within(running.events.recv()).await, Some(Event::Started));
    for mark in [7, 8] {
        running.sandbox.mark(mark).await.expect("it is told");
    }
    for mark in [7, 8] {
        assert_eq!(within(running.events.recv()).await, Some(Event::Mark(mark)));
    }
    let sandbox = Arc::clone(&running.sandbox);
    let knowing = tokio::time::timeout(Duration::from_millis(50), sandbox.gone());
    assert!(knowing.await.is_err(), "it runs");
    running.sandbox.stop(GRACE).await.expect("it stops");
    within(sandbox.gone()).await;
    let late = sandbox.mark(9).await;
    assert!(matches!(late, Err(Error::Gone(_))), "{late:?}");
    assert_eq!(last_event(&mut running).await, Some(StopReason::Requested));
}

/// [`Runtime::adopt`](crate::Runtime::adopt), or a backend that says that it cannot.
pub async fn a_sandbox_whose_handle_was_dropped_can_be_adopted<H: Harness>(harness: &H) {
    let runtime = harness.runtime();
    let running = started(harness).await;
    let id = running.sandbox.id().clone();
    if !runtime.supports(Verb::Adopt) {
        assert!(matches!(
            runtime.adopt(&id).await.err(),
            Some(Error::Unsupported(Verb::Adopt))
        ));
        return stop(running).await;
    }
    drop(running);
    let adopted = runtime.adopt(&id).await.expect("it runs still");
    assert_eq!(
        run(&adopted, &programs::TRUE, |_| {}).await.0,
        ExitStatus::Exited(0)
    );
    stop(adopted).await;
}

/// Adopting makes nothing.
pub async fn nothing_is_adopted_that_does_not_run<H: Harness>(harness: &H) {
    let refused = harness.runtime().adopt(&spec(harness).id).await.err();
    assert!(
        matches!(
            refused,
            Some(Error::NotFound(_) | Error::Unsupported(Verb::Adopt))
        ),
        "{refused:?}"
    );
}

/// [`Sandbox::checkpoint`](crate::Sandbox::checkpoint), or a backend that says that it cannot.
pub async fn a_checkpoint_brings_the_files_back_once<H: Harness>(harness: &H) {
    let runtime = harness.runtime();
    let mut running = started(harness).await;
    if !runtime.supports(Verb::Checkpoint) {
        assert!(matches!(
            running.sandbox.checkpoint().await.err(),
            Some(Error::Unsupported(Verb::Checkpoint))
        ));
        assert_eq!(
            run(&running, &programs::TRUE, |_| {}).await.0,
            ExitStatus::Exited(0),
            "it runs still"
        );
        return stop(running).await;
    }
    assert_eq!(
        run(&running, &programs::WRITE_FILES, |_| {}).await.0,
        ExitStatus::Exited(0)
    );
    let checkpoint = running.sandbox.checkpoint().await.expect("a checkpoint");
    assert_eq!(
        last_event(&mut running).await,
        Some(StopReason::Checkpointed)
    );
    assert!(is_gone(
        &running.sandbox.exec(Command::new(programs::TRUE)).await
    ));
    let bytes = runtime.checkpoint_bytes(&checkpoint).await;
    assert!(matches!(bytes, Ok(5..)), "{bytes:?}");
    let restored = runtime
        .restore(spec(harness), &checkpoint)
        .await
        .expect("a sandbox starts");
    assert_eq!(
        restored
            .sandbox
            .read_file(Path::new("/tmp/probe/a"), 100)
            .await
            .expect("the file"),
        b"alpha"
    );
    let again = runtime.restore(spec(harness), &checkpoint).await.err();
    assert!(
        matches!(again, Some(Error::CheckpointNotFound(_))),
        "{again:?}"
    );
    let bytes = runtime.checkpoint_bytes(&checkpoint).await;
    assert!(
        matches!(bytes, Err(Error::CheckpointNotFound(_))),
        "{bytes:?}"
    );
    stop(restored).await;
}

/// [`Runtime::discard`](crate::Runtime::discard), or a backend that says that it cannot.
pub async fn a_checkpoint_that_is_discarded_comes_back_no_more<H: Harness>(harness: &H) {
    let runtime = harness.runtime();
    if !runtime.supports(Verb::Checkpoint) {
        let refused = runtime.discard(&Checkpoint("none".into())).await.err();
        return assert!(matches!(
            refused,
            Some(Error::Unsupported(Verb::Checkpoint))
        ));
    }
    let running = started(harness).await;
    let checkpoint = running.sandbox.checkpoint().await.expect("a checkpoint");
    for _ in 0..2 {
        let discarded = runtime.discard(&checkpoint).await;
        discarded.expect("once more is no error");
    }
    let refused = runtime.restore(spec(harness), &checkpoint).await.err();
    assert!(
        matches!(refused, Some(Error::CheckpointNotFound(_))),
        "{refused:?}"
    );
}

/// [`Sandbox::apply_policy`](crate::Sandbox::apply_policy), or a backend that says that it cannot.
pub async fn a_live_sandbox_takes_another_policy<H: Harness>(harness: &H) {
    let running = started(harness).await;
    match running.sandbox.apply_policy(harness.policy()).await {
        Ok(()) => assert!(harness.runtime().supports(Verb::ApplyPolicy)),
        Err(error) => {
            assert!(
                matches!(error, Error::Unsupported(Verb::ApplyPolicy)),
                "{error}"
            );
            assert!(!harness.runtime().supports(Verb::ApplyPolicy));
        }
    }
    stop(running).await;
}
