//! What requests to models may cost, and what they did.
//!
//! [`Ledger::reserve`] is asked before a request goes out: it reserves the worst case on every hard limit that holds for who spends, out of what
//! this server has leased, or refuses. [`Reservation::settle`] says what it took; one that is dropped has taken its worst case. What has ended is
//! written a few times a second, by [`Ledger::write_settled`], which [`Ledger::run`] calls.

mod alerts;
mod amount;
mod book;
mod filling;
mod journal;
mod pots;
mod prices;
mod reached;
mod recovery;
mod rules;
mod settling;
mod window;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use bailiwick_llm::{ModelPrice, PriceTable, Usage};
use bailiwick_model::limits::LLM_TOKENS_OF_REQUEST;
use bailiwick_model::{
    LimitId, ModelUpstreamId, OrganizationId, ResourceId as _, UsageKind, UsageRecordId,
};
use bailiwick_store::{Spender, Spent, Store, StoreError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::{clock, fresh};
use book::{Book, Ended};
use journal::{Journal, Reserved};
use pots::Need;

pub use alerts::LimitAlertLine;
pub use amount::{dollars, money_or_tokens, nano_dollars};
pub use reached::LimitReached;
pub use recovery::{NotRecovered, Recovered};
pub use rules::LimitConfig;
pub(crate) use rules::{Rule, Rules, is_named, zone};
pub(crate) use window::seconds_of;

/// The accounts of all organizations, as one server sees them.
#[derive(Debug, Clone)]
pub struct Ledger(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Store,
    /// What this process is called in the database.
    holder: String,
    /// None if nothing outlives the process, as in tests.
    journal: OnceLock<Journal>,
    prices: PriceTable,
    books: RwLock<HashMap<OrganizationId, Arc<Book>>>,
    /// Told when much has been settled.
    settled: Notify,
}

/// Somebody who may answer a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Which of the organization's upstreams; none is the server's.
    pub upstream: Option<ModelUpstreamId>,
    /// What it calls the model.
    pub model: String,
}

/// A request that is about to be made.
#[derive(Debug, Clone)]
pub struct SpendRequest {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Who spends.
    pub spender: Spender,
    /// Which model is asked for.
    pub model: String,
    /// Who may answer, at least one.
    pub candidates: Vec<Candidate>,
    /// What makes it dearer than prices say, if something does: the field that asks for it.
    pub surcharge: Option<&'static str>,
}

/// What may not be asked, and why.
#[derive(Debug, thiserror::Error)]
pub enum SpendError {
    /// A hard limit would be exceeded.
    #[error("{0}")]
    Reached(Box<LimitReached>),
    /// Nobody knows what the model costs, and a hard limit of money holds.
    #[error(
        "the model {model:?} has no price, and the limit {limit} is one of money: set a price for it (`bailiwick usage configure --price`)"
    )]
    NoPrice {
        /// Which model.
        model: String,
        /// Which limit.
        limit: LimitId,
    },
    /// It asks for something that costs more than prices say, and a hard limit of money holds.
    #[error(
        "{field} makes a request cost more than is known, and the limit {limit} is one of money: leave it out"
    )]
    Surcharge {
        /// What asks for it.
        field: &'static str,
        /// Which limit.
        limit: LimitId,
    },
    /// It cannot be known what was spent.
    #[error("the ledger cannot be read now, and a hard limit holds: try again later")]
    Unavailable(#[source] StoreError),
    /// It could not be written down that the request goes out.
    #[error("the ledger's journal cannot be written, and a hard limit holds: try again later")]
    Journal(#[source] io::Error),
    /// The database takes what was settled too slowly.
    #[error("too much that was settled waits to be written: try again later")]
    Behind,
}

/// A request that goes out. Dropping it counts it as its worst case.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    shared: Arc<Shared>,
    book: Arc<Book>,
    rules: Arc<Rules>,
    /// There until it is settled.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    reserved: Reserved,
    candidates: Vec<Candidate>,
    needs: Vec<(Need, Arc<Rule>)>,
    /// Whether something makes it dearer than prices say.
    is_dearer: bool,
    /// In which part of the journal it is, if there is one.
    part: Option<u64>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// How it is known.
    pub kind: UsageKind,
    /// Which of the candidates answered, or was asked last.
    pub candidate: usize,
    /// What it took.
    pub usage: Usage,
    /// What was answered.
    pub status: Option<u16>,
}

impl Ledger {
    /// On this database.
    pub(crate) fn new(store: Store) -> Self {
        let digits = fresh::random::<8>().map(|byte| format!("{byte:02x}"));
        Self(Arc::new(Shared {
            store,
            holder: digits.concat(),
            journal: OnceLock::new(),
            prices: PriceTable::built_in(),
            books: RwLock::default(),
            settled: Notify::new(),
        }))
    }

    /// Begins to write down what is spent in a directory that outlives the process, after what was left there was settled.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read or written.
    pub(crate) fn open_journal(&self, directory: &Path) -> io::Result<()> {
        let journal = Journal::open(directory, &self.0.holder)?;
        // It is opened once.
        let _ = self.0.journal.set(journal);
        Ok(())
    }

    fn book(&self, organization: &OrganizationId) -> Arc<Book> {
        self.0.book(organization)
    }

    /// Reserves what a request can take at most: `worst` says that, of a model that has a price, or has none.
    ///
    /// # Errors
    ///
    /// [`SpendError`]; nothing is reserved then.
    pub async fn reserve(
        &self,
        request: SpendRequest,
        worst: impl Fn(Option<&ModelPrice>) -> Usage,
    ) -> Result<Reservation, SpendError> {
        let book = self.book(&request.organization);
        let rules = book.rules(&self.0.store).await;
        let rules = rules.map_err(SpendError::Unavailable)?;
        if book.is_behind() {
            return Err(SpendError::Behind);
        }
        let at = clock::now();
        let reserved = self.0.reserved(&rules, &request, worst, at);
        let needs = needs(&rules, &request, &reserved)?;
        let wanted: Vec<_> = needs.iter().map(|(need, _)| need.clone()).collect();
        self.0.take(&book, &rules, &wanted, at).await?;
        let mut reservation = Reservation {
            shared: Arc::clone(&self.0),
            book,
            rules,
            open: Some(Open {
                reserved,
                candidates: request.candidates,
                needs,
                is_dearer: request.surcharge.is_some(),
                part: None,
            }),
        };
        match reservation.write_down() {
            Ok(()) => Ok(reservation),
            Err(error) => Err(reservation.give_back(error)),
        }
    }
}

/// What of a limit a request needs; none of those that only tell.
fn needs(
    rules: &Rules,
    request: &SpendRequest,
    reserved: &Reserved,
) -> Result<Vec<(Need, Arc<Rule>)>, SpendError> {
    let candidates = request.candidates.iter().map(|one| one.model.as_str());
    let names: Vec<_> = std::iter::once(request.model.as_str())
        .chain(candidates)
        .collect();
    let applied = rules.applied(&request.spender, &names);
    let hard = applied.into_iter().filter(|one| one.rule.is_hard());
    let needs = hard.map(|one| {
        if let (Some(field), true) = (request.surcharge, one.rule.is_money()) {
            let limit = one.rule.id.clone();
            return Err(SpendError::Surcharge { field, limit });
        }
        if one.rule.is_money() && reserved.is_estimated {
            return Err(SpendError::NoPrice {
                model: request.model.clone(),
                limit: one.rule.id.clone(),
            });
        }
        let amount = one.rule.config.counted(&reserved.worst);
        let account = one.account;
        Ok((Need { account, amount }, one.rule))
    });
    needs.collect()
}

impl Shared {
    fn book(&self, organization: &OrganizationId) -> Arc<Book> {
        let books = self.books.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(book) = books.get(organization) {
            return Arc::clone(book);
        }
        drop(books);
        let mut books = self.books.write().unwrap_or_else(PoisonError::into_inner);
        let book = books
            .entry(organization.clone())
            .or_insert_with(|| Arc::new(Book::new(organization.clone())));
        Arc::clone(book)
    }

    fn books(&self) -> Vec<Arc<Book>> {
        let books = self.books.read().unwrap_or_else(PoisonError::into_inner);
        books.values().map(Arc::clone).collect()
    }

    /// What is written down before the request goes out: its worst case is that of whoever costs most, with as many tokens as anybody could take.
    fn reserved(
        &self,
        rules: &Rules,
        request: &SpendRequest,
        worst: impl Fn(Option<&ModelPrice>) -> Usage,
        at: Timestamp,
    ) -> Reserved {
        let mut all = Spent::default();
        let mut most: Option<((bool, i64), _, _)> = None;
        for candidate in &request.candidates {
            let price = rules.price(&self.prices, &request.model, &candidate.model);
            let usage = worst(price.known());
            let (here, cost) = (spent(&usage), price.most(&usage));
            all.input_tokens = all.input_tokens.max(here.input_tokens);
            all.output_tokens = all.output_tokens.max(here.output_tokens);
            all.cost_nanos = all.cost_nanos.max(cost);
            let rank = (price.is_estimated(), cost);
            if most.as_ref().is_none_or(|(before, ..)| rank > *before) {
                most = Some((rank, price, candidate));
            }
        }
        let (_, price, candidate) = most.expect("somebody may answer");
        Reserved {
            id: UsageRecordId::made(
                u64::try_from(at.as_millisecond()).unwrap_or(0),
                fresh::random(),
            ),
            organization: request.organization.clone(),
            at,
            spender: request.spender.clone(),
            model: request.model.clone(),
            candidate: candidate.clone(),
            prices: price.to_json(),
            is_estimated: price.is_estimated() || request.surcharge.is_some(),
            worst: all,
        }
    }
}

/// Tokens, without what they cost; nobody can have taken more of a kind than [`LLM_TOKENS_OF_REQUEST`].
fn spent(usage: &Usage) -> Spent {
    let count = |tokens: u64| i64::try_from(tokens.min(LLM_TOKENS_OF_REQUEST)).unwrap_or(0);
    Spent {
        input_tokens: count(usage.input_tokens),
        output_tokens: count(usage.output_tokens),
        cache_read_tokens: count(usage.cache_read_tokens),
        cache_5m_tokens: count(usage.cache_write_5m_tokens),
        cache_1h_tokens: count(usage.cache_write_1h_tokens),
        cost_nanos: 0,
    }
}

impl Reservation {
    /// The id of the record that it becomes.
    pub fn id(&self) -> Option<&UsageRecordId> {
        self.open.as_ref().map(|open| &open.reserved.id)
    }

    /// Says how the request ended.
    pub fn settle(mut self, outcome: Outcome) {
        if let Some(open) = self.open.take() {
            self.end(open, Some(outcome));
        }
    }

    fn write_down(&mut self) -> io::Result<()> {
        let Some(journal) = self.shared.journal.get() else {
            return Ok(());
        };
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        match journal.reserved(&open.reserved) {
            Ok(part) => {
                open.part = Some(part);
                Ok(())
            }
            // Without a hard limit it is told, and goes on.
            Err(error) if open.needs.is_empty() => {
                tracing::warn!(%error, "the ledger's journal cannot be written");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn give_back(mut self, error: io::Error) -> SpendError {
        if let Some(open) = self.open.take() {
            let mut pots = self.book.pots();
            for (need, _) in &open.needs {
                pots.settle(need, 0);
            }
        }
        tracing::error!(%error, "the ledger's journal cannot be written");
        SpendError::Journal(error)
    }

    fn end(&self, open: Open, outcome: Option<Outcome>) {
        let settled = match outcome {
            Some(outcome) => self.settled(&open, outcome),
            None => open.reserved.worst(UsageKind::Unknown),
        };
        let took = open.needs.iter().map(|(need, rule)| {
            let took = rule.config.counted(&settled.spent);
            (need.clone(), took)
        });
        let took: Vec<_> = took.collect();
        if let (Some(journal), Some(part)) = (self.shared.journal.get(), open.part)
            && let Err(error) = journal.settled(part, &settled)
        {
            tracing::warn!(%error, "the ledger's journal cannot be written: a request may count as its worst case");
        }
        let record = open.reserved.settled(settled);
        let many = self.book.ended(Ended {
            record,
            took,
            part: open.part,
        });
        if many {
            self.shared.settled.notify_one();
        }
    }

    fn settled(&self, open: &Open, outcome: Outcome) -> journal::Settled {
        let reserved = &open.reserved;
        let candidate = open.candidates.get(outcome.candidate);
        let candidate = candidate.unwrap_or(&reserved.candidate).clone();
        let price = self
            .rules
            .price(&self.shared.prices, &reserved.model, &candidate.model);
        let mut spent = spent(&outcome.usage);
        spent.cost_nanos = price.cost(&outcome.usage);
        journal::Settled {
            id: reserved.id.clone(),
            kind: outcome.kind,
            candidate,
            prices: price.to_json(),
            is_estimated: price.is_estimated() || open.is_dearer,
            spent,
            status: outcome.status,
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            self.end(open, None);
        }
    }
}
