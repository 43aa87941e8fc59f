//! One session at work: what comes next is done, until nothing does.

mod asking;
mod calling;
mod listing;
mod spending;

use std::sync::Arc;

use bailiwick_llm::Usage;
use bailiwick_model::limits::ENGINE_READ_EVENTS;
use bailiwick_model::{
    SessionEventId, SessionEventType, SessionStatus, SessionThreadId, SessionUsage, StopReason,
};
use bailiwick_store::{Session, SessionRecord, SessionRun};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::agent::{Agent, Knowledge};
use super::history::{Entry, History, Step, TurnEnd};
use super::reading::Reading;
use super::web::SessionWeb;
use crate::error::ControlError;
use crate::session_engine::{ThreadStep, TurnReport};
use crate::session_feed::{Seen, Watch, WatchRequest};
use crate::session_input::{budget_is_reached, is_self_hosted};
use calling::Hands;
pub(crate) use calling::told;

/// What was reported is refused if something was said meanwhile; what comes next is then another thing. More often than this in a row, it is not
/// that.
const REFUSALS: u32 = 20;

/// A session that this server runs.
pub(crate) struct Runner {
    shared: Arc<Shared>,
    run: SessionRun,
    session: Session,
    thread: SessionThreadId,
    agent: Agent,
    reading: Reading,
    history: History,
    web: SessionWeb,
    /// The number of the last event that was read.
    cursor: i64,
    watch: Watch,
    /// Calls that are being run, and their ids.
    hands: Hands,
    running: Vec<SessionEventId>,
    /// Ends what runs when the turn is interrupted.
    turn: CancellationToken,
    /// Tokens of the conversation, as the model counted them last.
    context_tokens: u64,
    /// Requests of this turn.
    requests: u32,
    /// The request that began with what was taken up, until the model is asked.
    fresh_request: Option<SessionEventId>,
    /// What the last request has used that was not answered whole.
    spent: Usage,
    /// What was used and could not be stored, since its report was refused.
    unreported: SessionUsage,
    refusals: u32,
}

/// What became of what was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
enum Reported {
    /// It is stored.
    Written,
    /// Nothing of it: something was said before it, which was read.
    Refused,
}

/// Why a session is not run any more.
#[derive(Debug)]
pub(crate) enum Left {
    /// It waits, or has ended.
    AtRest(Box<Session>),
    /// Somebody else runs it, or it is gone.
    Lost,
}

impl Runner {
    /// Reads all that happened in the session.
    pub(crate) async fn begin(shared: Arc<Shared>, run: SessionRun) -> Result<Self, ControlError> {
        let control = &shared.control;
        // What is stored from here on is seen.
        let watch = control.watch_run(&run, WatchRequest::default()).await?;
        let (session, _) = control.session_of_run(&run).await?;
        let pages = shared.web.as_ref().filter(|_| !is_self_hosted(&session));
        let knowledge = control.session_has_knowledge(&run.organization, &session);
        let knowledge = match knowledge.await? {
            true => Knowledge::There,
            false => Knowledge::Nothing,
        };
        let agent = Agent::of(&session.values.agent, pages.is_some())?.knowing(knowledge);
        let web = match (pages, agent.web_fetch()) {
            (Some(web), Some(configured)) => {
                SessionWeb::new((control, web), (&run.organization, &session.id), configured)?
            }
            (Some(_) | None, None) | (None, Some(_)) => SessionWeb::none(),
        };
        let mut runner = Self {
            thread: SessionThreadId::primary_of(&session.id),
            agent,
            web,
            reading: Reading::new(is_self_hosted(&session)),
            history: History::default(),
            cursor: 0,
            watch,
            hands: Hands::default(),
            running: Vec::new(),
            turn: CancellationToken::new(),
            context_tokens: 0,
            requests: 0,
            fresh_request: None,
            spent: Usage::default(),
            unreported: SessionUsage::default(),
            refusals: 0,
            session,
            shared,
            run,
        };
        runner.read_from_beginning().await?;
        runner.agent.listed = runner.reading.listed().clone();
        Ok(runner)
    }

    /// Goes on until there is nothing to do.
    pub(crate) async fn go(mut self) -> Result<Left, ControlError> {
        self.take_over().await?;
        loop {
            if is_at_rest(&self.session) {
                return Ok(Left::AtRest(Box::new(self.session)));
            }
            let is_over_budget = budget_is_reached(&self.session)?;
            let next = self.history.next(&self.running);
            let asks_now = matches!(next, Step::Ask) && !is_over_budget;
            let done = match next {
                _ if let Some(start) = self.stale_request(asks_now) => {
                    self.end_request(start, Vec::new()).await
                }
                Step::Interrupt { interrupts, open } => self.interrupt(interrupts, open).await,
                Step::Settle(settled) => self.settle(settled).await,
                Step::Run(calls) => self.run_calls(calls).await,
                Step::TakeUp(ids) if !is_over_budget => self.take_up(ids).await,
                Step::Ask if !is_over_budget => self.ask().await,
                Step::TakeUp(_) | Step::Ask => self.rest(StopReason::BudgetReached).await,
                Step::Wait(_) if !self.running.is_empty() => self.wait().await,
                Step::Wait(ids) => {
                    let ids = ids.into_iter().collect();
                    self.rest(StopReason::RequiresAction(ids)).await
                }
                Step::End(TurnEnd::Complete) => self.rest(StopReason::EndTurn).await,
                Step::End(TurnEnd::Refused(details)) => {
                    self.rest(StopReason::Refusal(details)).await
                }
            };
            match done {
                Ok(()) => {}
                Err(ControlError::RunLost | ControlError::NotFound("session")) => {
                    return Ok(Left::Lost);
                }
                Err(error) => {
                    if let Some(start) = self.stale_request(false) {
                        // Whoever comes next does it otherwise, if anybody can.
                        let _ = self.end_request(start, Vec::new()).await;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// A request that has begun, and that is not to be made now: whoever made it has died, what it came to could not be stored, or something came
    /// between. It is ended; what it has used that is not known by now nobody will know.
    fn stale_request(&self, asks_now: bool) -> Option<SessionEventId> {
        let begun = self.reading.asking()?;
        let is_fresh = self.fresh_request.as_ref() == Some(begun);
        let is_made = asks_now && is_fresh && self.mcp_servers_to_list().is_empty();
        (!is_made).then(|| begun.clone())
    }

    /// Goes on with what whoever ran the session before was at when they died.
    async fn take_over(&mut self) -> Result<(), ControlError> {
        if self.session.status == SessionStatus::Rescheduling {
            self.step(ThreadStep::Resume).await?;
        }
        Ok(())
    }

    /// Takes up what was said, and if the model can be asked at once, begins that with it: whoever waits for an answer waits for the disk once.
    async fn take_up(&mut self, ids: Vec<SessionEventId>) -> Result<(), ControlError> {
        (self.requests, self.turn) = (0, CancellationToken::new());
        let start = if self.mcp_servers_to_list().is_empty() {
            Some(self.request_start()?)
        } else {
            None
        };
        let request = start.as_ref().map(|start| start.id.clone());
        let report = TurnReport {
            taken: ids,
            events: start.into_iter().collect(),
            ..self.nothing()
        };
        if self.report(report).await? == Reported::Written {
            self.fresh_request = request;
        }
        Ok(())
    }

    async fn rest(&mut self, reason: StopReason) -> Result<(), ControlError> {
        self.step(ThreadStep::Rest(reason)).await
    }

    async fn step(&mut self, step: ThreadStep) -> Result<(), ControlError> {
        let report = TurnReport {
            steps: vec![step],
            ..self.nothing()
        };
        self.report(report).await.map(drop)
    }

    fn nothing(&self) -> TurnReport {
        TurnReport::of(self.thread.clone())
    }

    /// Stores what was done, and reads it with whatever was said before it. What is refused since something was said is not done.
    async fn report(&mut self, report: TurnReport) -> Result<Reported, ControlError> {
        let taken = report.taken.clone();
        let usage = report.usage.plus(std::mem::take(&mut self.unreported));
        let report = TurnReport { usage, ..report };
        match self.shared.control.report(&self.run, report).await {
            Ok(progress) => {
                self.refusals = 0;
                self.session = progress.session;
                self.catch_up().await?;
                if !taken.is_empty() {
                    self.history.push(Entry::TakenUp(taken));
                }
                Ok(Reported::Written)
            }
            Err(ControlError::Refused(_) | ControlError::AlreadyAnswered)
                if self.refusals < REFUSALS =>
            {
                self.refusals += 1;
                self.unreported = usage;
                self.catch_up().await?;
                Ok(Reported::Refused)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until something happens that was not read.
    async fn news(watch: &mut Watch, cursor: i64) -> Result<(), ControlError> {
        loop {
            match watch.next().await? {
                Some(Seen::Event(event)) if event.sequence > cursor => return Ok(()),
                Some(Seen::Event(_) | Seen::Preview(..)) => {}
                Some(Seen::Deleted(..)) | None => return Err(ControlError::RunLost),
            }
        }
    }

    /// Reads what was stored since it was last read.
    async fn catch_up(&mut self) -> Result<(), ControlError> {
        loop {
            let records = self.records().await?;
            for record in &records {
                self.cursor = record.event.sequence;
                for entry in self.reading.read(record)? {
                    self.happened(entry);
                }
            }
            if records.len() < ENGINE_READ_EVENTS as usize {
                return Ok(());
            }
        }
    }

    async fn records(&self) -> Result<Vec<SessionRecord>, ControlError> {
        let control = &self.shared.control;
        let records = control.records_of_run(&self.run, self.cursor, ENGINE_READ_EVENTS);
        records.await
    }

    /// Reads everything. What was said happened when it was stored, and was taken up at another time.
    async fn read_from_beginning(&mut self) -> Result<(), ControlError> {
        let mut happened: Vec<(Timestamp, Entry)> = Vec::new();
        loop {
            let records = self.records().await?;
            for record in &records {
                let event = &record.event;
                self.cursor = event.sequence;
                let entries = self.reading.read(record)?.into_iter();
                happened.extend(entries.map(|entry| (event.created_at, entry)));
                if let Some(at) = event.processed_at.filter(|_| is_queued(event.kind)) {
                    happened.push((at, Entry::TakenUp(vec![event.id.clone()])));
                }
            }
            if records.len() < ENGINE_READ_EVENTS as usize {
                break;
            }
        }
        // Stable: what is taken up as it is stored comes after.
        happened.sort_by_key(|(at, _)| *at);
        for (_, entry) in happened {
            self.happened(entry);
        }
        Ok(())
    }

    fn happened(&mut self, entry: Entry) {
        self.web.note(&entry);
        self.history.push(entry);
    }
}

fn is_at_rest(session: &Session) -> bool {
    match session.status {
        SessionStatus::Idle | SessionStatus::Terminated => true,
        SessionStatus::Running | SessionStatus::Rescheduling => false,
    }
}

/// Whether it waits until it is taken up.
fn is_queued(kind: SessionEventType) -> bool {
    matches!(
        kind,
        SessionEventType::UserMessage
            | SessionEventType::UserInterrupt
            | SessionEventType::SystemMessage
    )
}
