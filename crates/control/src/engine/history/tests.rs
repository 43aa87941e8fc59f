//! Given what happened, what comes next.

use bailiwick_llm::{Rest, Role, ToolUse, Turn};
use bailiwick_model::ResourceId as _;
use proptest::prelude::*;

use super::*;
use crate::engine::conversation::messages;

fn id(number: u8) -> SessionEventId {
    SessionEventId::made(u64::from(number), [number; 10])
}

fn said(number: u8) -> Entry {
    Entry::Said(Said {
        id: id(number),
        by: Speaker::User,
        content: vec![Block::text(format!("said {number}"))],
    })
}

fn call(number: u8, tool: Tool, permission: CallPermission) -> Call {
    Call {
        id: id(number),
        tool,
        input: Raw::empty_object(),
        permission,
    }
}

fn bash(number: u8) -> Call {
    call(
        number,
        Tool::BuiltIn("bash".to_owned()),
        CallPermission::Allow,
    )
}

fn answer(calls: Vec<Call>) -> Entry {
    let text = Block::text("answer");
    let uses = calls.iter().map(|call| {
        Block::ToolUse(ToolUse {
            id: call.id.to_string(),
            name: "x".to_owned(),
            input: call.input.clone(),
            cache_control: None,
            rest: Rest::none(),
        })
    });
    Entry::Answered(Answer {
        content: std::iter::once(text).chain(uses).collect(),
        calls,
        stop: AnswerStop::Complete,
    })
}

fn outcome() -> Outcome {
    Outcome {
        content: vec![Block::text("out")],
        is_error: false,
    }
}

fn history(entries: impl IntoIterator<Item = Entry>) -> History {
    let mut history = History::default();
    for entry in entries {
        history.push(entry);
    }
    history
}

#[test]
fn what_was_said_is_taken_up_then_the_model_is_asked() {
    let mut history = history([said(1), said(2)]);
    assert_eq!(history.next(&[]), Step::TakeUp(vec![id(1), id(2)]));
    history.push(Entry::TakenUp(vec![id(1), id(2)]));
    assert_eq!(history.next(&[]), Step::Ask);
    history.push(answer(vec![]));
    assert_eq!(history.next(&[]), Step::End(TurnEnd::Complete));
}

#[test]
fn what_is_said_during_a_turn_waits_for_its_end() {
    let mut history = history([said(1), Entry::TakenUp(vec![id(1)]), answer(vec![bash(3)])]);
    history.push(said(2));
    assert_eq!(history.next(&[]), Step::Run(vec![bash(3)]));
    history.push(Entry::Begun(id(3)));
    history.push(Entry::Resulted(id(3), outcome()));
    assert_eq!(history.next(&[]), Step::Ask);
    history.push(answer(vec![]));
    assert_eq!(history.next(&[]), Step::TakeUp(vec![id(2)]));
}

#[test]
fn a_call_that_was_begun_by_somebody_who_is_gone_is_never_run_again() {
    let mut history = history([answer(vec![bash(3), bash(4)])]);
    history.push(Entry::Begun(id(3)));
    assert_eq!(
        history.next(&[]),
        Step::Settle(vec![(id(3), Settlement::Lost)])
    );
    // Whoever has it in hand waits for it, and the other is run.
    assert_eq!(history.next(&[id(3)]), Step::Run(vec![bash(4)]));
}

#[test]
fn a_call_that_needs_a_person_waits_for_one() {
    let asks = call(3, Tool::BuiltIn("bash".to_owned()), CallPermission::Ask);
    let mut history = history([answer(vec![asks.clone()])]);
    assert_eq!(history.next(&[]), Step::Wait(vec![id(3)]));
    let mut denied = history.clone();
    denied.push(Entry::Confirmed(
        id(3),
        Confirmation::Denied(Some("no".to_owned())),
    ));
    // A second word changes nothing.
    denied.push(Entry::Confirmed(id(3), Confirmation::Allowed));
    let settlement = Settlement::Denied(Some("no".to_owned()));
    assert_eq!(denied.next(&[]), Step::Settle(vec![(id(3), settlement)]));
    history.push(Entry::Confirmed(id(3), Confirmation::Allowed));
    assert_eq!(history.next(&[]), Step::Run(vec![asks]));
}

#[test]
fn a_call_that_is_denied_is_not_run_whatever_a_person_says() {
    let denied = call(3, Tool::BuiltIn("bash".to_owned()), CallPermission::Deny);
    let mut history = history([answer(vec![denied])]);
    history.push(Entry::Confirmed(id(3), Confirmation::Allowed));
    assert_eq!(
        history.next(&[]),
        Step::Settle(vec![(id(3), Settlement::Forbidden)])
    );
}

#[test]
fn what_runs_here_is_run_while_others_are_waited_for() {
    let custom = call(4, Tool::Custom("weather".to_owned()), CallPermission::Allow);
    let elsewhere = call(5, Tool::Elsewhere("bash".to_owned()), CallPermission::Allow);
    let mut history = history([answer(vec![bash(3), custom, elsewhere])]);
    assert_eq!(history.next(&[]), Step::Run(vec![bash(3)]));
    history.push(Entry::Begun(id(3)));
    assert_eq!(history.next(&[id(3)]), Step::Wait(vec![id(4), id(5)]));
    for number in [5, 3, 4] {
        history.push(Entry::Resulted(id(number), outcome()));
    }
    assert_eq!(history.next(&[]), Step::Ask);
    // In the order of the calls, not in that of the results.
    let Some(Told::Results(results)) = history.told.last() else {
        panic!("{:?}", history.told);
    };
    let order: Vec<_> = results.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(order, [id(3), id(4), id(5)]);
}

#[test]
fn an_interrupt_comes_before_everything_and_ends_the_turn() {
    let mut history = history([said(1), Entry::TakenUp(vec![id(1)]), answer(vec![bash(3)])]);
    history.push(said(2));
    history.push(Entry::Interrupted(id(4)));
    history.push(Entry::Interrupted(id(5)));
    let interrupts = vec![id(4), id(5)];
    let open = vec![id(3)];
    assert_eq!(history.next(&[]), Step::Interrupt { interrupts, open });
    history.push(Entry::Resulted(id(3), outcome()));
    history.push(Entry::TakenUp(vec![id(4), id(5)]));
    // What was said meanwhile is a turn of its own.
    assert_eq!(history.next(&[]), Step::TakeUp(vec![id(2)]));
    history.push(Entry::TakenUp(vec![id(2)]));
    assert_eq!(history.next(&[]), Step::Ask);
}

#[test]
fn a_second_result_of_a_call_is_none() {
    let mut history = history([answer(vec![bash(3)])]);
    history.push(Entry::Resulted(id(3), outcome()));
    let before = history.told.clone();
    history.push(Entry::Resulted(
        id(3),
        Outcome {
            content: vec![],
            is_error: true,
        },
    ));
    assert_eq!(history.told, before);
}

#[test]
fn a_refusal_ends_the_turn_with_its_details() {
    let details = Refusal {
        category: Some("cyber".to_owned()),
        explanation: None,
    };
    let refused = Entry::Answered(Answer {
        content: vec![],
        calls: vec![],
        stop: AnswerStop::Refused(details.clone()),
    });
    let history = history([said(1), Entry::TakenUp(vec![id(1)]), refused]);
    assert_eq!(history.next(&[]), Step::End(TurnEnd::Refused(details)));
}

#[test]
fn a_summary_stands_for_what_was_before() {
    let mut history = history([said(1), Entry::TakenUp(vec![id(1)]), answer(vec![])]);
    history.push(Entry::Compacted("they talked".to_owned()));
    history.push(said(2));
    history.push(Entry::TakenUp(vec![id(2)]));
    let messages = messages(&history.told);
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].content.len(), 2);
    let Block::Text(text) = &messages[0].content[0] else {
        panic!("{messages:?}");
    };
    assert!(text.text.ends_with("they talked"));
}

/// What somebody, a person or the machine, may do at any moment.
#[derive(Debug, Clone)]
enum Act {
    Say,
    Interrupt,
    Confirm(bool),
    Answer(Vec<(u8, u8)>),
    Crash,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let answer = prop::collection::vec((0..4_u8, 0..3_u8), 0..4).prop_map(Act::Answer);
    let act = prop_oneof![
        Just(Act::Say),
        Just(Act::Interrupt),
        any::<bool>().prop_map(Act::Confirm),
        answer,
        Just(Act::Crash),
    ];
    prop::collection::vec(act, 0..40)
}

/// An engine that does what comes next, between the acts of others, and counts how often it ran each call.
struct Machine {
    history: History,
    next: u8,
    running: Vec<SessionEventId>,
    runs: BTreeMap<String, u32>,
    answers: VecDeque<Vec<(u8, u8)>>,
}

impl Machine {
    fn fresh(&mut self) -> SessionEventId {
        self.next += 1;
        id(self.next)
    }

    /// At most so many steps, so that an act can come at every point of a turn.
    fn go(&mut self, steps: usize) {
        for _ in 0..steps {
            match self.history.next(&self.running) {
                Step::Interrupt { interrupts, open } => {
                    self.running.clear();
                    for id in open {
                        self.history.push(Entry::Resulted(id, outcome()));
                    }
                    self.history.push(Entry::TakenUp(interrupts));
                }
                Step::Settle(settled) => {
                    for (id, _) in settled {
                        self.history.push(Entry::Resulted(id, outcome()));
                    }
                }
                Step::Run(calls) => {
                    for call in calls {
                        *self.runs.entry(call.id.to_string()).or_default() += 1;
                        self.history.push(Entry::Begun(call.id.clone()));
                        self.running.push(call.id);
                    }
                }
                Step::TakeUp(ids) => self.history.push(Entry::TakenUp(ids)),
                Step::Ask => {
                    check_messages(&messages(&self.history.told));
                    let calls = self.answers.pop_front().unwrap_or_default();
                    let calls = calls.into_iter().map(|(tool, permission)| {
                        let tool = match tool {
                            0 => Tool::BuiltIn("bash".to_owned()),
                            1 => Tool::Custom("c".to_owned()),
                            2 => Tool::Elsewhere("bash".to_owned()),
                            _ => Tool::Mcp {
                                server: "s".to_owned(),
                                name: "n".to_owned(),
                            },
                        };
                        let permission = match permission {
                            0 => CallPermission::Allow,
                            1 => CallPermission::Ask,
                            _ => CallPermission::Deny,
                        };
                        call(0, tool, permission)
                    });
                    let calls: Vec<_> = calls.collect();
                    let calls = calls.into_iter().map(|call| Call {
                        id: self.fresh(),
                        ..call
                    });
                    let calls = calls.collect();
                    self.history.push(answer(calls));
                }
                Step::Wait(_) if !self.running.is_empty() => {
                    let id = self.running.remove(0);
                    self.history.push(Entry::Resulted(id, outcome()));
                }
                Step::Wait(_) | Step::End(_) => return,
            }
        }
    }
}

fn used(block: &Block) -> Option<&String> {
    let Block::ToolUse(call) = block else {
        return None;
    };
    Some(&call.id)
}

fn answered(block: &Block) -> Option<&String> {
    let Block::ToolResult(result) = block else {
        return None;
    };
    Some(&result.tool_use_id)
}

/// What every model insists on.
fn check_messages(messages: &[Turn]) {
    assert_eq!(messages.first().map(|turn| turn.role), Some(Role::User));
    assert_eq!(messages.last().map(|turn| turn.role), Some(Role::User));
    for pair in messages.windows(2) {
        assert_ne!(pair[0].role, pair[1].role);
        let uses = pair[0].content.iter().filter_map(used);
        let results = pair[1].content.iter().filter_map(answered);
        assert!(uses.eq(results), "{pair:?}");
    }
}

proptest! {
    #[test]
    fn no_call_runs_twice_and_every_request_is_well_formed(acts in acts(), pace in 1..6_usize) {
        let mut machine = Machine {
            history: History::default(),
            next: 0,
            running: vec![],
            runs: BTreeMap::new(),
            answers: VecDeque::new(),
        };
        for act in acts {
            match act {
                Act::Say => {
                    let id = machine.fresh();
                    let content = vec![Block::text("x")];
                    machine.history.push(Entry::Said(Said { id, by: Speaker::User, content }));
                }
                Act::Interrupt => {
                    let id = machine.fresh();
                    machine.history.push(Entry::Interrupted(id));
                }
                Act::Confirm(allowed) => {
                    if let Step::Wait(ids) = machine.history.next(&machine.running) {
                        for id in ids {
                            let word = if allowed { Confirmation::Allowed } else { Confirmation::Denied(None) };
                            machine.history.push(Entry::Confirmed(id.clone(), word));
                            let is_run_here = machine.history.open_call(&id).is_some_and(|call| {
                                matches!(call.tool, Tool::BuiltIn(_) | Tool::Mcp { .. })
                            });
                            if !is_run_here {
                                machine.history.push(Entry::Resulted(id, outcome()));
                            }
                        }
                    }
                }
                Act::Answer(calls) => machine.answers.push_back(calls),
                // Whoever had the session is gone, with what was running.
                Act::Crash => machine.running.clear(),
            }
            machine.go(pace);
        }
        prop_assert!(machine.runs.values().all(|runs| *runs == 1));
    }
}
