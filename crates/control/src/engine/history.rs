//! What happened in a session, reduced to what decides what comes next.
//!
//! A *turn* begins when something that was said is taken up, and ends when the model has answered without calling a tool. In between the model
//! is asked, its calls are settled, and it is asked again.

use std::collections::{BTreeMap, VecDeque};

use bailiwick_llm::{Block, Raw};
use bailiwick_model::SessionEventId;

/// Something that happened, in the order in which it was stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    /// Something was said to the agent. It waits in the queue until it is taken up.
    Said(Said),
    /// Somebody wants the turn to end.
    Interrupted(SessionEventId),
    /// These, which were said or wanted, were taken up.
    TakenUp(Vec<SessionEventId>),
    /// The model answered.
    Answered(Answer),
    /// A tool that the last answer calls is about to be run.
    Begun(SessionEventId),
    /// A person decided about a call that needs it.
    Confirmed(SessionEventId, Confirmation),
    /// A call has its result, which the model is told.
    Resulted(SessionEventId, Outcome),
    /// All that was before was put together in these words.
    Compacted(String),
    /// The model could not be asked, and it is not tried again before somebody says something.
    GaveUp,
}

/// What was said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    pub(crate) id: SessionEventId,
    pub(crate) by: Speaker,
    pub(crate) content: Vec<Block>,
}

/// Who said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// Whoever uses the agent.
    User,
    /// Whoever runs it.
    System,
}

/// An answer of the model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// A call in it has the id of its event.
    pub(crate) content: Vec<Block>,
    /// What it calls, in the order of `content`.
    pub(crate) calls: Vec<Call>,
    /// Why it ended.
    pub(crate) stop: AnswerStop,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AnswerStop {
    /// It was said all.
    Complete,
    /// The model would not go on, and may have said why.
    Refused(Refusal),
}

/// What a model says of why it would not go on.
pub(crate) type Refusal = bailiwick_model::StopDetails;

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) id: SessionEventId,
    pub(crate) tool: Tool,
    pub(crate) input: Raw,
    pub(crate) permission: CallPermission,
}

/// Which tool is called, and so who runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tool {
    /// One of the built-in tools that run in the sandbox, where that is this server's.
    BuiltIn(String),
    /// The same, where a worker elsewhere has the sandbox.
    Elsewhere(String),
    /// A tool of an MCP server.
    Mcp {
        /// The name of the server in the agent.
        server: String,
        /// The tool's.
        name: String,
    },
    /// A tool of whoever uses the session, who runs it.
    Custom(String),
}

/// What the agent's configuration says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallPermission {
    /// It may.
    Allow,
    /// A person decides.
    Ask,
    /// It may not.
    Deny,
}

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Confirmation {
    /// It may.
    Allowed,
    /// It may not, and this is what the model is told, if they said something.
    Denied(Option<String>),
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) content: Vec<Block>,
    pub(crate) is_error: bool,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// The turn ends: these calls get their result without being run, and then that was done which these asked for.
    Interrupt {
        interrupts: Vec<SessionEventId>,
        open: Vec<SessionEventId>,
    },
    /// These calls get this result without being run.
    Settle(Vec<(SessionEventId, Settlement)>),
    /// These calls are run, all at once.
    Run(Vec<Call>),
    /// What was said is taken up.
    TakeUp(Vec<SessionEventId>),
    /// The model is asked.
    Ask,
    /// Nothing comes before a person, a client or a worker has answered these.
    Wait(Vec<SessionEventId>),
    /// The turn is over.
    End(TurnEnd),
}

/// Why a call is not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// The agent's configuration denies it.
    Forbidden,
    /// A person denied it, with these words.
    Denied(Option<String>),
    /// Whoever ran it is gone; it may have happened or not, and is not run again.
    Lost,
}

/// How a turn is over.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TurnEnd {
    /// The model has said all.
    Complete,
    /// It would not go on.
    Refused(Refusal),
}

/// How far a call is.
#[derive(Debug, Clone, PartialEq)]
struct Progress {
    call: Call,
    confirmation: Option<Confirmation>,
    is_begun: bool,
}

/// What happened, as far as it matters for what comes next.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// What the model is told, in order.
    pub(crate) told: Vec<Told>,
    queue: VecDeque<Said>,
    interrupts: Vec<SessionEventId>,
    /// Calls of the last answer without a result, in its order.
    open: Vec<Progress>,
    /// Results of the last answer's calls.
    results: BTreeMap<SessionEventId, Outcome>,
    /// The calls of the last answer, in its order.
    called: Vec<SessionEventId>,
    is_model_due: bool,
    refusal: Option<Refusal>,
}

/// A part of what the model is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    /// What was said.
    Said(Speaker, Vec<Block>),
    /// What it answered.
    Answered(Vec<Block>),
    /// The results of all calls of the answer before, in its order.
    Results(Vec<(SessionEventId, Outcome)>),
    /// What was before, in few words.
    Summary(String),
}

impl History {
    /// What is there once this has happened too.
    pub(crate) fn push(&mut self, entry: Entry) {
        match entry {
            Entry::Said(said) => self.queue.push_back(said),
            Entry::Interrupted(id) => self.interrupts.push(id),
            Entry::TakenUp(ids) => self.take_up(&ids),
            Entry::Answered(answer) => self.answer(answer),
            Entry::Begun(id) => {
                if let Some(progress) = self.progress(&id) {
                    progress.is_begun = true;
                }
            }
            Entry::Confirmed(id, confirmation) => {
                if let Some(progress) = self.progress(&id) {
                    // The first word counts.
                    progress.confirmation.get_or_insert(confirmation);
                }
            }
            Entry::Resulted(id, outcome) => self.result(&id, outcome),
            Entry::Compacted(summary) => self.told = vec![Told::Summary(summary)],
            Entry::GaveUp => self.is_model_due = false,
        }
    }

    /// What comes next. `running` are the calls that whoever asks has in hand.
    pub(crate) fn next(&self, running: &[SessionEventId]) -> Step {
        if self.is_interrupted() {
            let open = self.open.iter().map(|progress| progress.call.id.clone());
            return Step::Interrupt {
                interrupts: self.interrupts.clone(),
                open: open.collect(),
            };
        }
        let settled: Vec<_> = self
            .open
            .iter()
            .filter_map(|progress| {
                let settlement = progress.settlement(running)?;
                Some((progress.call.id.clone(), settlement))
            })
            .collect();
        if !settled.is_empty() {
            return Step::Settle(settled);
        }
        let ready = self.open.iter().filter(|progress| progress.is_ready());
        let calls: Vec<_> = ready.map(|progress| progress.call.clone()).collect();
        if !calls.is_empty() {
            return Step::Run(calls);
        }
        if !self.open.is_empty() {
            let ids = self.open.iter().map(|progress| progress.call.id.clone());
            return Step::Wait(ids.filter(|id| !running.contains(id)).collect());
        }
        if self.is_model_due {
            // What the agent is told besides comes with what it follows.
            let besides: Vec<_> = self
                .queue
                .iter()
                .take_while(|said| said.by == Speaker::System)
                .map(|said| said.id.clone())
                .collect();
            return if besides.is_empty() {
                Step::Ask
            } else {
                Step::TakeUp(besides)
            };
        }
        if !self.queue.is_empty() {
            return Step::TakeUp(self.queue.iter().map(|said| said.id.clone()).collect());
        }
        Step::End(match &self.refusal {
            Some(details) => TurnEnd::Refused(details.clone()),
            None => TurnEnd::Complete,
        })
    }

    /// Whether nothing is left to do once the model has said all.
    pub(crate) fn awaits_model_alone(&self) -> bool {
        self.open.is_empty() && self.queue.is_empty() && !self.is_interrupted()
    }

    /// What was said and not taken up.
    pub(crate) fn queued(&self) -> Vec<SessionEventId> {
        self.queue.iter().map(|said| said.id.clone()).collect()
    }

    /// Whether somebody wants the turn to end.
    pub(crate) fn is_interrupted(&self) -> bool {
        !self.interrupts.is_empty()
    }

    /// A call that has no result yet.
    pub(crate) fn open_call(&self, id: &SessionEventId) -> Option<&Call> {
        let found = self.open.iter().find(|progress| progress.call.id == *id);
        found.map(|progress| &progress.call)
    }

    fn progress(&mut self, id: &SessionEventId) -> Option<&mut Progress> {
        self.open
            .iter_mut()
            .find(|progress| progress.call.id == *id)
    }

    fn take_up(&mut self, ids: &[SessionEventId]) {
        let before = self.interrupts.len();
        self.interrupts.retain(|id| !ids.contains(id));
        if self.interrupts.len() < before {
            // The turn is over; what its calls came to is told with whatever is said next.
            self.is_model_due = false;
        }
        let (taken, left) = self
            .queue
            .drain(..)
            .partition::<VecDeque<_>, _>(|said| ids.contains(&said.id));
        self.queue = left;
        for said in taken {
            self.told.push(Told::Said(said.by, said.content));
            self.is_model_due = true;
        }
    }

    fn answer(&mut self, answer: Answer) {
        self.is_model_due = false;
        self.refusal = match answer.stop {
            AnswerStop::Complete => None,
            AnswerStop::Refused(details) => Some(details),
        };
        // The Messages API takes no turn without content.
        if !answer.content.is_empty() {
            self.told.push(Told::Answered(answer.content));
        }
        self.called = answer.calls.iter().map(|call| call.id.clone()).collect();
        self.results.clear();
        let open = answer.calls.into_iter().map(|call| Progress {
            call,
            confirmation: None,
            is_begun: false,
        });
        self.open = open.collect();
    }

    /// The first result of a call is its result.
    fn result(&mut self, id: &SessionEventId, outcome: Outcome) {
        let Some(at) = self.open.iter().position(|one| one.call.id == *id) else {
            return;
        };
        self.open.remove(at);
        self.results.insert(id.clone(), outcome);
        if self.open.is_empty() {
            let mut results = std::mem::take(&mut self.results);
            let in_order = self.called.drain(..).filter_map(|id| {
                let outcome = results.remove(&id)?;
                Some((id, outcome))
            });
            self.told.push(Told::Results(in_order.collect()));
            self.is_model_due = true;
        }
    }
}

impl Progress {
    /// The result that it gets without being run, if it does.
    fn settlement(&self, running: &[SessionEventId]) -> Option<Settlement> {
        if self.call.permission == CallPermission::Deny {
            return Some(Settlement::Forbidden);
        }
        if let Some(Confirmation::Denied(words)) = &self.confirmation {
            return Some(Settlement::Denied(words.clone()));
        }
        let is_lost = self.is_begun && !running.contains(&self.call.id);
        is_lost.then_some(Settlement::Lost)
    }

    /// Whether it is to be run here, now.
    fn is_ready(&self) -> bool {
        let is_here = match self.call.tool {
            Tool::BuiltIn(_) | Tool::Mcp { .. } => true,
            Tool::Elsewhere(_) | Tool::Custom(_) => false,
        };
        let may = match self.call.permission {
            CallPermission::Allow => true,
            CallPermission::Ask => self.confirmation == Some(Confirmation::Allowed),
            CallPermission::Deny => false,
        };
        is_here && may && !self.is_begun
    }
}

#[cfg(test)]
mod tests;
