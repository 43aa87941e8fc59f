//! What a session's requests to its model may cost, and what they did.

use std::sync::atomic::Ordering;

use bailiwick_llm::{Block, ModelPrice, Request, UpstreamError, Usage};
use bailiwick_model::UsageKind;
use bailiwick_model::limits::{
    LLM_BYTES_OF_A_TOKEN, LLM_CONTEXT_TOKENS, LLM_PICTURE_TOKENS, LLM_PROVIDER_PROMPT_TOKENS,
};
use bailiwick_store::Spender;
use bailiwick_wire::Speed;

use super::Runner;
use super::asking::Outcome;
use crate::engine::asking::Question;
use crate::engine::models::Asked;
use crate::error::ControlError;
use crate::spend::{self, Reservation, SpendError, SpendRequest};

impl Runner {
    /// Reserves what a request can take at most, on every limit that holds for the session.
    pub(super) async fn reserve(
        &self,
        model: &str,
        request: &Request,
        asked: &Asked,
    ) -> Result<Reservation, SpendError> {
        let (organization, pins) = (&self.run.organization, &self.session.pins);
        let control = &self.shared.control;
        let teams = match &pins.created_by {
            Some(user) => {
                let teams = control.teams_of_spender(organization, user).await;
                teams.map_err(SpendError::Unavailable)?
            }
            None => Vec::new(),
        };
        let spend = SpendRequest {
            organization: organization.clone(),
            spender: Spender {
                environment: pins.environment.clone(),
                agent: Some(pins.agent.clone()),
                user: pins.created_by.clone(),
                teams,
                key: None,
                llm_proxy: None,
                session: Some(self.session.id.clone()),
            },
            model: model.to_owned(),
            candidates: vec![asked.candidate.clone()],
            surcharge: (self.agent.model.speed == Speed::Fast).then_some("speed"),
        };
        let worst = |price: Option<&ModelPrice>| worst(request, price);
        control.ledger.reserve(spend, worst).await
    }
}

/// A token has at least a byte. What pictures take their bytes do not bound, and what documents take nothing but the model's context.
fn worst(request: &Request, price: Option<&ModelPrice>) -> Usage {
    let mut bytes = Bytes(0);
    // Nothing can fail: it is counted and not kept.
    let _ = serde_json::to_writer(&mut bytes, request);
    let context = price.and_then(|price| price.context_tokens);
    let context = context.unwrap_or(LLM_CONTEXT_TOKENS);
    let mut seen = Seen::default();
    for block in request.messages.iter().flat_map(|turn| &turn.content) {
        seen.look_at(block);
    }
    let pictures = seen.pictures.saturating_mul(LLM_PICTURE_TOKENS);
    let bounded = bytes.0.saturating_add(LLM_PROVIDER_PROMPT_TOKENS);
    Usage {
        input_tokens: match seen.is_open {
            true => bounded.max(context),
            false => bounded.saturating_add(pictures.min(context)),
        },
        output_tokens: u64::from(request.max_tokens),
        ..Usage::default()
    }
}

/// What of a conversation its bytes do not bound.
#[derive(Default)]
struct Seen {
    pictures: u64,
    is_open: bool,
}

impl Seen {
    fn look_at(&mut self, block: &Block) {
        match block {
            Block::Image(_) => self.pictures += 1,
            Block::Document(_) => self.is_open = true,
            Block::ToolResult(result) => result.content.iter().for_each(|one| self.look_at(one)),
            Block::Text(_)
            | Block::Thinking(_)
            | Block::RedactedThinking(_)
            | Block::ToolUse(_)
            // What an answer of the upstream had: it counts it as it likes, by its bytes at most.
            | Block::Other(_) => {}
        }
    }
}

/// Counts what is written.
struct Bytes(u64);

impl std::io::Write for Bytes {
    fn write(&mut self, some: &[u8]) -> std::io::Result<usize> {
        self.0 = self
            .0
            .saturating_add(u64::try_from(some.len()).unwrap_or(u64::MAX));
        Ok(some.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Settles what a request took: what the upstream said, or what had come when it broke off. If it was sent and nothing came, its worst case.
pub(super) fn settle(
    reservation: Reservation,
    question: &Question,
    outcome: &Result<Outcome, ControlError>,
) {
    let told = |kind, usage| spend::Outcome {
        kind,
        candidate: 0,
        usage,
        status: None,
    };
    let nothing = told(UsageKind::Told, Usage::default());
    match outcome {
        Ok(Outcome::Answered(answered)) => {
            let told = spend::Outcome {
                status: Some(200),
                ..told(UsageKind::Told, answered.usage())
            };
            reservation.settle(told);
        }
        Ok(Outcome::Failed(error)) if was_not_worked_on(error) => reservation.settle(nothing),
        Ok(Outcome::NotAsked(_)) => reservation.settle(nothing),
        Ok(Outcome::Interrupted | Outcome::Failed(_)) | Err(_) => {
            let mut usage = question.used();
            let streamed = question.streamed_bytes.load(Ordering::Relaxed);
            if usage == Usage::default() && streamed == 0 {
                if let Ok(Outcome::Failed(UpstreamError::Server { .. })) = outcome {
                    reservation.settle(nothing);
                }
                // Dropped, it counts as its worst case.
                return;
            }
            let streamed = streamed.div_ceil(LLM_BYTES_OF_A_TOKEN);
            usage.output_tokens = usage.output_tokens.max(streamed);
            reservation.settle(told(UsageKind::Streamed, usage));
        }
    }
}

/// Whether an upstream answered with an error, or never had the request.
fn was_not_worked_on(error: &UpstreamError) -> bool {
    match error {
        UpstreamError::Overloaded { .. }
        | UpstreamError::RateLimited { .. }
        | UpstreamError::Refused { .. }
        | UpstreamError::ContextTooLong { .. }
        | UpstreamError::NotFound { .. }
        | UpstreamError::Authentication { .. }
        | UpstreamError::Billing { .. }
        | UpstreamError::Dial(_)
        | UpstreamError::Tls(_)
        | UpstreamError::Status { .. }
        | UpstreamError::Untranslatable(_)
        | UpstreamError::RequestTooLarge { .. }
        | UpstreamError::Timeout(bailiwick_llm::Phase::Connect) => true,
        // A 500 within a stream is one too: what had come by then counts.
        UpstreamError::Server { .. }
        | UpstreamError::Http(_)
        | UpstreamError::Cut
        | UpstreamError::Malformed(_)
        | UpstreamError::Timeout(_) => false,
    }
}
