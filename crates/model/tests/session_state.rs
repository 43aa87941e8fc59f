//! What becomes of sessions, against what is known without the function: each step is judged by facts about before and after.

use std::collections::BTreeSet;

use bailiwick_model::{
    ResourceId as _, SessionEventId, SessionId, SessionInput, SessionRefusal, SessionState,
    SessionStatus, SessionThreadId, StatusEvent, StopReason, ThreadState,
};
use proptest::prelude::*;

fn primary() -> SessionThreadId {
    SessionThreadId::primary_of(&SessionId::made(1, [0; 10]))
}

fn thread(number: u8) -> SessionThreadId {
    match number {
        0 => primary(),
        number => SessionThreadId::made(2, [number; 10]),
    }
}

fn call(number: u8) -> SessionEventId {
    SessionEventId::made(3, [number; 10])
}

fn calls() -> impl Strategy<Value = BTreeSet<SessionEventId>> {
    proptest::collection::btree_set((0..4_u8).prop_map(call), 0..4)
}

fn reasons() -> impl Strategy<Value = StopReason> {
    prop_oneof![
        Just(StopReason::EndTurn),
        Just(StopReason::RetriesExhausted),
        Just(StopReason::BudgetReached),
        Just(StopReason::Refusal(Default::default())),
        calls().prop_map(StopReason::RequiresAction),
    ]
}

fn inputs() -> impl Strategy<Value = SessionInput> {
    let thread = || (0..3_u8).prop_map(thread);
    prop_oneof![
        3 => (thread(), 1..3_u32).prop_map(|(id, count)| SessionInput::Queue(id, count)),
        2 => thread().prop_map(SessionInput::Interrupt),
        2 => (thread(), calls()).prop_map(|(id, calls)| SessionInput::Settle(id, calls)),
        3 => (thread(), 0..3_u32, 0..2_u32).prop_map(|(id, one, two)| SessionInput::Take(id, one, two)),
        1 => thread().prop_map(SessionInput::Resume),
        4 => (thread(), reasons()).prop_map(|(id, reason)| SessionInput::Rest(id, reason)),
        2 => thread().prop_map(SessionInput::Yield),
        1 => thread().prop_map(SessionInput::Reschedule),
        2 => thread().prop_map(SessionInput::Open),
        1 => thread().prop_map(SessionInput::Close),
        1 => Just(SessionInput::End),
    ]
}

/// Whom an input is about; all, or one that is not there yet.
fn about(input: &SessionInput) -> Option<&SessionThreadId> {
    match input {
        SessionInput::Queue(id, _)
        | SessionInput::Interrupt(id)
        | SessionInput::Settle(id, _)
        | SessionInput::Take(id, _, _)
        | SessionInput::Resume(id)
        | SessionInput::Rest(id, _)
        | SessionInput::Yield(id)
        | SessionInput::Reschedule(id)
        | SessionInput::Close(id) => Some(id),
        SessionInput::Open(_) | SessionInput::End => None,
    }
}

/// Which status each event of a thread says that it has.
fn said(told: &[StatusEvent], id: &SessionThreadId) -> Option<SessionStatus> {
    let said = told.iter().rev().find_map(|event| {
        match event {
            StatusEvent::ThreadRunning(of) => Some((of, SessionStatus::Running)),
            StatusEvent::ThreadIdle(of, _) => Some((of, SessionStatus::Idle)),
            StatusEvent::ThreadRescheduled(of) => Some((of, SessionStatus::Rescheduling)),
            StatusEvent::ThreadTerminated(of) => Some((of, SessionStatus::Terminated)),
            StatusEvent::Running
            | StatusEvent::Usage
            | StatusEvent::Idle(_)
            | StatusEvent::Rescheduled
            | StatusEvent::Terminated => None,
        }
        .filter(|(of, _)| *of == id)
    });
    said.map(|(_, status)| status)
}

fn said_of_all(told: &[StatusEvent]) -> Option<SessionStatus> {
    told.iter().rev().find_map(|event| match event {
        StatusEvent::Running => Some(SessionStatus::Running),
        StatusEvent::Idle(_) => Some(SessionStatus::Idle),
        StatusEvent::Rescheduled => Some(SessionStatus::Rescheduling),
        StatusEvent::Terminated => Some(SessionStatus::Terminated),
        StatusEvent::Usage
        | StatusEvent::ThreadRunning(_)
        | StatusEvent::ThreadIdle(_, _)
        | StatusEvent::ThreadRescheduled(_)
        | StatusEvent::ThreadTerminated(_) => None,
    })
}

/// The facts of one thread that hold after every step.
fn holds(id: &SessionThreadId, thread: &ThreadState) {
    if thread.status != SessionStatus::Idle {
        assert!(
            thread.awaits.is_empty(),
            "{id}: only who is idle waits for calls"
        );
    } else if thread.awaits.is_empty() {
        assert_eq!(thread.interrupts, 0, "{id}: nobody rests over an interrupt");
    }
}

fn check(before: &SessionState, input: &SessionInput) -> Option<SessionState> {
    let ended = |id| {
        before
            .thread(id)
            .is_some_and(|it| it.status == SessionStatus::Terminated)
    };
    let Ok((after, told)) = before.after(input) else {
        return None;
    };
    if let Some(id) = about(input) {
        assert!(!ended(id), "nothing happens to what has ended");
    }
    for (id, thread) in after.threads() {
        holds(id, thread);
        let was = before
            .thread(id)
            .map_or(SessionStatus::Idle, |it| it.status);
        assert!(
            was != SessionStatus::Terminated || thread.status == was,
            "the end is the end"
        );
        match said(&told, id) {
            // Whatever changed was told, and the last that was told is what it is.
            Some(status) => assert_eq!(thread.status, status),
            None => assert_eq!(thread.status, was),
        }
    }
    match said_of_all(&told) {
        Some(status) => assert_eq!(after.status(), status),
        None => assert_eq!(after.status(), before.status()),
    }
    // What a session has used is told right before it rests, and then alone.
    for pair in told.windows(2) {
        assert_eq!(
            pair[0] == StatusEvent::Usage,
            matches!(pair[1], StatusEvent::Idle(_))
        );
    }
    Some(after)
}

proptest! {
    #[test]
    fn whatever_happens_a_session_tells_what_it_is(steps in proptest::collection::vec(inputs(), 0..60)) {
        let mut state = SessionState::new(primary(), []);
        for input in &steps {
            state = check(&state, input).unwrap_or(state);
        }
    }

    #[test]
    fn nobody_rests_over_what_was_said(steps in proptest::collection::vec(inputs(), 0..60)) {
        let mut state = SessionState::new(primary(), []);
        for input in &steps {
            let Some(after) = check(&state, input) else { continue };
            for (id, thread) in after.threads() {
                let rests = thread.status == SessionStatus::Idle && thread.awaits.is_empty();
                let by_budget = matches!(input, SessionInput::Rest(_, StopReason::BudgetReached));
                let did = state.thread(id).is_some_and(|it| it.status != SessionStatus::Idle);
                if rests && did && !by_budget {
                    prop_assert_eq!(thread.queued, 0, "{:?}", input);
                }
            }
            state = after;
        }
    }
}

fn run(steps: &[SessionInput]) -> (SessionState, Vec<StatusEvent>) {
    let (mut state, mut told) = (SessionState::new(primary(), []), Vec::new());
    for input in steps {
        (state, told) = state
            .after(input)
            .unwrap_or_else(|why| panic!("{input:?}: {why}"));
    }
    (state, told)
}

#[test]
fn a_session_runs_while_one_of_its_threads_does() {
    let other = thread(1);
    let (state, told) = run(&[
        SessionInput::Queue(primary(), 1),
        SessionInput::Take(primary(), 1, 0),
        SessionInput::Open(other.clone()),
        SessionInput::Queue(other.clone(), 1),
        SessionInput::Rest(primary(), StopReason::EndTurn),
    ]);
    assert_eq!(state.status(), SessionStatus::Running);
    assert_eq!(
        told,
        [StatusEvent::ThreadIdle(primary(), StopReason::EndTurn)]
    );
    let (state, _) = state
        .after(&SessionInput::Take(other.clone(), 1, 0))
        .unwrap();
    let awaited = StopReason::RequiresAction(BTreeSet::from([call(1)]));
    let (state, told) = state
        .after(&SessionInput::Rest(other.clone(), awaited.clone()))
        .unwrap();
    assert_eq!(state.status(), SessionStatus::Idle);
    let expected = [
        StatusEvent::ThreadIdle(other.clone(), awaited.clone()),
        StatusEvent::Usage,
        StatusEvent::Idle(awaited.clone()),
    ];
    assert_eq!(told, expected);
    // Another thread that rests again does not hide what is waited for.
    let (state, _) = state.after(&SessionInput::Queue(primary(), 1)).unwrap();
    let (state, _) = state.after(&SessionInput::Take(primary(), 1, 0)).unwrap();
    let (_, told) = state
        .after(&SessionInput::Rest(primary(), StopReason::EndTurn))
        .unwrap();
    assert_eq!(told.last(), Some(&StatusEvent::Idle(awaited)));
}

#[test]
fn a_thread_that_could_afford_no_more_goes_on_with_what_it_was_at() {
    let mut state = SessionState::new(primary(), []);
    for input in [
        SessionInput::Queue(primary(), 1),
        SessionInput::Take(primary(), 1, 0),
        SessionInput::Rest(primary(), StopReason::BudgetReached),
        SessionInput::Resume(primary()),
    ] {
        (state, _) = state.after(&input).unwrap();
    }
    assert_eq!(state.status(), SessionStatus::Running);
}

#[test]
fn what_cannot_happen_is_refused_with_its_reason() {
    let idle = SessionState::new(primary(), []);
    let rest = |reason| SessionInput::Rest(primary(), reason);
    for (input, why) in [
        (rest(StopReason::EndTurn), SessionRefusal::NotAtWork),
        (
            SessionInput::Reschedule(primary()),
            SessionRefusal::NotAtWork,
        ),
        (
            SessionInput::Take(primary(), 0, 0),
            SessionRefusal::NotAtWork,
        ),
        (
            SessionInput::Queue(thread(1), 1),
            SessionRefusal::NoSuchThread,
        ),
        (SessionInput::Open(primary()), SessionRefusal::ThreadExists),
        (SessionInput::Close(primary()), SessionRefusal::IsPrimary),
    ] {
        assert_eq!(idle.after(&input).unwrap_err(), why, "{input:?}");
    }
    let (running, _) = idle.after(&SessionInput::Queue(primary(), 1)).unwrap();
    for (input, why) in [
        (rest(StopReason::EndTurn), SessionRefusal::InputWaits),
        (
            rest(StopReason::RequiresAction(BTreeSet::new())),
            SessionRefusal::NothingAwaited,
        ),
        (
            SessionInput::Take(primary(), 2, 0),
            SessionRefusal::NothingQueued,
        ),
        (SessionInput::Resume(primary()), SessionRefusal::AtWork),
    ] {
        assert_eq!(running.after(&input).unwrap_err(), why, "{input:?}");
    }
    let (ended, _) = running.after(&SessionInput::End).unwrap();
    for input in [
        SessionInput::Queue(primary(), 1),
        SessionInput::End,
        SessionInput::Open(thread(1)),
    ] {
        assert_eq!(
            ended.after(&input).unwrap_err(),
            SessionRefusal::Ended,
            "{input:?}"
        );
    }
}
