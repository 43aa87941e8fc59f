//! Asking the model, again if that may help.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_llm::{Backoff, Turn, UpstreamError, Usage};
use bailiwick_model::limits::{CONTEXT_PERCENT, MODEL_ATTEMPTS, TURN_MODEL_REQUESTS};
use bailiwick_model::{SessionEventId, SessionUsage, StopReason};
use bailiwick_wire::{AgentEvent, RetryStatus, SessionErrorKind};
use serde_json::Value;

use super::{Reported, Runner, spending};
use crate::control::Control;
use crate::engine::asking::{Answered, Question, Told, request_end};
use crate::engine::conversation::messages;
use crate::engine::failing::{failure, upstream_failure};
use crate::engine::models::{Asked, NobodyToAsk};
use crate::error::ControlError;
use crate::fresh;
use crate::session_engine::{NewAgentEvent, ThreadStep, TurnReport};
use crate::sessions::corrupt;
use crate::spend::{Reservation, SpendError};

/// What the model is asked when a conversation has become too long.
const SUMMARISE: &str = "This conversation is about to be replaced by a summary that you write now. Write down all that is needed to go on: what was \
    asked for, word for word where it matters, what was done and found, names, paths and decisions, and what is still to do. Answer with the \
    summary alone.";

/// How a request went.
pub(super) enum Outcome {
    Answered(Answered),
    /// Somebody interrupted it.
    Interrupted,
    /// It was not made: a limit holds.
    NotAsked(SpendError),
    Failed(UpstreamError),
}

impl Runner {
    /// Asks the model what comes next.
    pub(super) async fn ask(&mut self) -> Result<(), ControlError> {
        if self.requests >= TURN_MODEL_REQUESTS {
            let words = "the turn has asked its model too often; say whether it is to go on";
            let kind = SessionErrorKind::ToolUseLimitReached;
            let failed = failure(kind, words.to_owned(), RetryStatus::Terminal);
            return self.give_up(vec![failed]).await;
        }
        self.list_mcp_tools().await?;
        if self.history.is_interrupted() {
            return Ok(());
        }
        self.requests += 1;
        if self.is_nearly_full() {
            return self.compact().await;
        }
        let conversation = messages(&self.history.told);
        let Some((start, outcome)) = self.attempts(conversation).await? else {
            return Ok(());
        };
        match outcome {
            Outcome::Answered(answered) => {
                let told = answered.told(&self.shared, &self.agent, start);
                self.store_answer(told).await
            }
            Outcome::Interrupted => self.end_request(start, Vec::new()).await,
            Outcome::NotAsked(error) => {
                let kind = SessionErrorKind::Billing;
                let failed = failure(kind, error.to_string(), RetryStatus::Terminal);
                let end = request_end(start, true, &self.spent, None);
                self.give_up(vec![end, failed]).await
            }
            Outcome::Failed(UpstreamError::ContextTooLong { .. }) => {
                self.end_request(start, Vec::new()).await?;
                self.compact().await
            }
            Outcome::Failed(error) => {
                let is_exhausted = error.is_transient();
                let status = if is_exhausted {
                    RetryStatus::Exhausted
                } else {
                    RetryStatus::Terminal
                };
                let events = vec![
                    request_end(start, true, &self.spent, None),
                    upstream_failure(&error, status),
                ];
                self.give_up(events).await
            }
        }
    }

    /// Stores an answer, and if nothing is left to do then, the end of the turn with it: whoever waits for that waits for the disk once.
    async fn store_answer(&mut self, told: Told) -> Result<(), ControlError> {
        self.context_tokens = told.context_tokens;
        let answer = TurnReport {
            events: told.events,
            usage: told.usage,
            ..self.nothing()
        };
        if !told.is_last || !self.history.awaits_model_alone() {
            return self.report(answer).await.map(drop);
        }
        let events = answer.events.clone();
        let with_end = TurnReport {
            steps: vec![ThreadStep::Rest(StopReason::EndTurn)],
            ..answer
        };
        match self.report(with_end).await? {
            Reported::Written => Ok(()),
            // Something was said meanwhile. What was used is reported with whatever is next.
            Reported::Refused => {
                let answer = TurnReport {
                    events,
                    ..self.nothing()
                };
                self.report(answer).await.map(drop)
            }
        }
    }

    /// Asks until there is an answer, it was interrupted, or asking again would not help. None if the report was refused.
    async fn attempts(
        &mut self,
        conversation: Vec<Turn>,
    ) -> Result<Option<(SessionEventId, Outcome)>, ControlError> {
        let model = self.agent.model.id.clone();
        let mut request = self.agent.request(&model, conversation)?;
        let mut attempt = 0;
        loop {
            let Some((asked, others)) = self.whom_to_ask(&model, attempt).await? else {
                return Ok(None);
            };
            request.model.clone_from(&asked.candidate.model);
            let Some(start) = self.begin_request().await? else {
                return Ok(None);
            };
            if self.history.is_interrupted() {
                return Ok(Some((start, Outcome::Interrupted)));
            }
            let reservation = match self.reserve(&model, &request, &asked).await {
                Ok(reservation) => reservation,
                Err(error) => return Ok(Some((start, Outcome::NotAsked(error)))),
            };
            let question = Question {
                session: self.session.id.clone(),
                thread: self.thread.clone(),
                request: request.clone(),
                asked,
                used: Mutex::default(),
                streamed_bytes: AtomicU64::new(0),
            };
            let error = match self.answer(question, reservation).await? {
                Outcome::Failed(error) if error.is_transient() => error,
                outcome @ (Outcome::Answered(_)
                | Outcome::Interrupted
                | Outcome::NotAsked(_)
                | Outcome::Failed(_)) => {
                    return Ok(Some((start, outcome)));
                }
            };
            attempt += 1;
            if attempt == MODEL_ATTEMPTS {
                return Ok(Some((start, Outcome::Failed(error))));
            }
            let rescheduled = self
                .reschedule(start, (attempt - 1, others), &error)
                .await?;
            if rescheduled == Reported::Refused || self.history.is_interrupted() {
                return Ok(None);
            }
            self.step(ThreadStep::Resume).await?;
        }
    }

    /// Who is asked now, and how many others could be: after one that failed the next, and after the last the first again. None if there is
    /// nobody, which was told.
    async fn whom_to_ask(
        &mut self,
        model: &str,
        attempt: u32,
    ) -> Result<Option<(Asked, u32)>, ControlError> {
        let shared = Arc::clone(&self.shared);
        let (organization, session) = (&self.run.organization, &self.session.id);
        let asking = shared
            .models
            .to_ask(&shared.control, organization, session, model);
        let mut all = match asking.await {
            Ok(all) => all,
            Err(NobodyToAsk::Control(error)) => return Err(error),
            Err(nobody @ (NobodyToAsk::NotServed(_) | NobodyToAsk::Key(_))) => {
                let kind = SessionErrorKind::ModelRequestFailed;
                let failed = failure(kind, nobody.to_string(), RetryStatus::Terminal);
                let begun = self.reading.asking().cloned();
                let end = begun.map(|start| request_end(start, true, &self.spent, None));
                self.give_up(end.into_iter().chain([failed]).collect())
                    .await?;
                return Ok(None);
            }
        };
        let turn = attempt as usize % all.len();
        let others = u32::try_from(all.len() - 1).unwrap_or(u32::MAX);
        Ok(Some((all.swap_remove(turn), others)))
    }

    /// Tells that a request failed, and waits until it makes sense to make it again, or somebody interrupts. Another upstream can be asked at
    /// once; after all of them were, it is waited.
    async fn reschedule(
        &mut self,
        start: SessionEventId,
        (retry, others): (u32, u32),
        error: &UpstreamError,
    ) -> Result<Reported, ControlError> {
        let failed = upstream_failure(error, RetryStatus::Retrying);
        let report = TurnReport {
            events: vec![request_end(start, true, &self.spent, None), failed],
            usage: self.take_spent(),
            steps: vec![ThreadStep::Reschedule],
            ..self.nothing()
        };
        if self.report(report).await? == Reported::Refused {
            return Ok(Reported::Refused);
        }
        let upstreams = others.saturating_add(1);
        if (retry + 1) % upstreams != 0 {
            return Ok(Reported::Written);
        }
        let random = u64::from_ne_bytes(fresh::random());
        let round = retry / upstreams;
        let wait = Backoff::default().wait(round, random, error.retry_after());
        self.pause(wait).await?;
        Ok(Reported::Written)
    }

    /// The request that is made now: the one that has begun with the turn, or another. None if the report was refused.
    async fn begin_request(&mut self) -> Result<Option<SessionEventId>, ControlError> {
        let fresh = self.fresh_request.take();
        // It may have been ended since.
        if fresh.is_some() && fresh.as_ref() == self.reading.asking() {
            return Ok(fresh);
        }
        let start = self.request_start()?;
        let id = start.id.clone();
        let report = TurnReport {
            events: vec![start],
            ..self.nothing()
        };
        let reported = self.report(report).await?;
        Ok((reported == Reported::Written).then_some(id))
    }

    /// What is told as the model is asked.
    pub(super) fn request_start(&self) -> Result<NewAgentEvent, ControlError> {
        Ok(NewAgentEvent {
            id: Control::fresh_event_id(),
            event: AgentEvent::ModelRequestStart {},
            private: self.list_to_store()?,
        })
    }

    /// The tools of MCP servers, if they are others than are stored.
    fn list_to_store(&self) -> Result<Option<String>, ControlError> {
        let listed = &self.agent.listed;
        if listed == self.reading.listed() {
            return Ok(None);
        }
        let text = serde_json::to_string(listed).map_err(|_| corrupt("private"))?;
        Ok(Some(text))
    }

    pub(super) async fn end_request(
        &mut self,
        start: SessionEventId,
        more: Vec<NewAgentEvent>,
    ) -> Result<(), ControlError> {
        let end = request_end(start, true, &self.spent, None);
        let report = TurnReport {
            events: std::iter::once(end).chain(more).collect(),
            usage: self.take_spent(),
            ..self.nothing()
        };
        self.report(report).await.map(drop)
    }

    /// One request, until it is answered or interrupted.
    async fn answer(
        &mut self,
        question: Question,
        reservation: Reservation,
    ) -> Result<Outcome, ControlError> {
        let question = Arc::new(question);
        let outcome = self.answer_or_news(&question).await;
        self.spent = match outcome {
            Ok(Outcome::Answered(_)) => Usage::default(),
            Ok(Outcome::Interrupted | Outcome::NotAsked(_) | Outcome::Failed(_)) | Err(_) => {
                question.used()
            }
        };
        spending::settle(reservation, &question, &outcome);
        outcome
    }

    async fn answer_or_news(&mut self, question: &Arc<Question>) -> Result<Outcome, ControlError> {
        let asking = Arc::clone(&self.shared).ask(Arc::clone(question));
        tokio::pin!(asking);
        loop {
            tokio::select! {
                answered = &mut asking => {
                    return Ok(match answered {
                        Ok(answered) => Outcome::Answered(answered),
                        Err(error) => Outcome::Failed(error),
                    });
                }
                news = Self::news(&mut self.watch, self.cursor) => {
                    news?;
                    self.catch_up().await?;
                    if self.history.is_interrupted() {
                        return Ok(Outcome::Interrupted);
                    }
                }
            }
        }
    }

    /// What an answer has used that is not whole: it is paid for once.
    fn take_spent(&mut self) -> SessionUsage {
        let spent = std::mem::take(&mut self.spent);
        self.shared.models.used(&self.agent.model.id, &spent)
    }

    /// Waits before a request is made again, unless somebody interrupts.
    async fn pause(&mut self, wait: Duration) -> Result<(), ControlError> {
        let over = tokio::time::sleep(wait);
        tokio::pin!(over);
        while !self.history.is_interrupted() {
            tokio::select! {
                () = &mut over => return Ok(()),
                news = Self::news(&mut self.watch, self.cursor) => {
                    news?;
                    self.catch_up().await?;
                }
            }
        }
        Ok(())
    }

    fn is_nearly_full(&self) -> bool {
        let whole = self.shared.models.context_tokens(&self.agent.model.id);
        self.context_tokens > whole / 100 * CONTEXT_PERCENT
    }

    /// Has the model put together what was said, and goes on with that alone.
    async fn compact(&mut self) -> Result<(), ControlError> {
        let mut conversation = messages(&self.history.told);
        match conversation.last_mut() {
            Some(last) if last.role == bailiwick_llm::Role::User => {
                last.content.push(bailiwick_llm::Block::text(SUMMARISE));
            }
            Some(_) | None => conversation.push(Turn::user(SUMMARISE)),
        }
        let Some((start, outcome)) = self.attempts(conversation).await? else {
            return Ok(());
        };
        let answered = match outcome {
            Outcome::Answered(answered) if !answered.text().trim().is_empty() => answered,
            Outcome::Interrupted => return self.end_request(start, Vec::new()).await,
            outcome @ (Outcome::Answered(_) | Outcome::NotAsked(_) | Outcome::Failed(_)) => {
                if let Outcome::Answered(answered) = &outcome {
                    self.spent = answered.usage();
                }
                let words = "the conversation is too long for the model, and could not be summed up: begin another session";
                let kind = SessionErrorKind::CompactionLimitReached;
                let failed = failure(kind, words.to_owned(), RetryStatus::Terminal);
                let end = request_end(start, true, &self.spent, None);
                return self.give_up(vec![end, failed]).await;
            }
        };
        let usage = answered.usage();
        let compacted = NewAgentEvent {
            id: Control::fresh_event_id(),
            event: AgentEvent::ContextCompacted {},
            // As JSON, which holds every character: PostgreSQL takes no text with U+0000.
            private: Some(Value::from(answered.text()).to_string()),
        };
        self.context_tokens = usage.output_tokens;
        let report = TurnReport {
            events: vec![request_end(start, false, &usage, None), compacted],
            usage: self.shared.models.used(&self.agent.model.id, &usage),
            ..self.nothing()
        };
        self.report(report).await.map(drop)
    }

    /// Nothing is tried again before somebody says something. What was said so far is taken up: it did not help.
    async fn give_up(&mut self, events: Vec<NewAgentEvent>) -> Result<(), ControlError> {
        let report = TurnReport {
            taken: self.history.queued(),
            events,
            usage: self.take_spent(),
            steps: vec![ThreadStep::Rest(StopReason::RetriesExhausted)],
            ..self.nothing()
        };
        self.report(report).await.map(drop)
    }
}
