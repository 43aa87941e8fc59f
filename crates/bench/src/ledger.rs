//! The ledger alone: a request is reserved and settled, and none is made.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use bailiwick_control::{
    Bootstrap, Candidate, Control, Credentials, Ledger, LimitConfig, LimitRequest, Outcome,
    SealingKeys, SpendRequest,
};
use bailiwick_llm::Usage;
use bailiwick_model::{
    CalendarWindow, Enforcement, LimitAmount, LimitEntity, LimitWindow, RollingWindow, UsageKind,
};
use bailiwick_store::{DatabaseUrl, Spender, Store};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::histogram::Histogram;
use crate::worker;

/// In the table of prices.
const MODEL: &str = "claude-sonnet-4-5";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An empty directory for the database and the journal.
    directory: PathBuf,
}

/// Obeys orders that say how often; answers with the median of their microseconds.
pub(crate) fn run(args: &Args) -> Result<()> {
    let runtime = Runtime::new()?;
    let (ledger, request) = runtime.block_on(set(&args.directory))?;
    let (running, ends) = (ledger.clone(), CancellationToken::new());
    runtime.spawn(async move { running.run(ends).await });
    worker::obey(|count: usize| runtime.block_on(spend(&ledger, &request, count)))
}

/// A ledger with a journal, and a request that three limits hold for.
async fn set(directory: &Path) -> Result<(Ledger, SpendRequest)> {
    let url = DatabaseUrl::Sqlite(directory.join("bailiwick.db"));
    let store = Store::open(&url).await?;
    let keys: SealingKeys = "01".repeat(32).parse()?;
    let control = Control::new(store.clone(), keys);
    let first = control.bootstrap(Bootstrap::default()).await?;
    let key = first.context("no key")?.key;
    let credentials = Credentials {
        key: &key,
        address: None,
    };
    let caller = control.authenticate(credentials).await?;
    let scope = store.scope(caller.organization());
    let environment = scope.default_environment().await?;
    let environment = environment.context("no environment")?.id;
    let hour = LimitWindow::Rolling(RollingWindow::Hour);
    let month = LimitWindow::Calendar(CalendarWindow::Month);
    let most = LimitAmount::CostNanos(1_000_000_000_000_000);
    for (entity, amount, window) in [
        (LimitEntity::Organization, most, hour),
        (LimitEntity::Environment(environment.clone()), most, month),
        (
            LimitEntity::Organization,
            LimitAmount::Tokens(1_000_000_000_000),
            month,
        ),
    ] {
        let config = LimitConfig {
            amount,
            window,
            enforcement: Enforcement::Hard,
            models: Vec::new(),
            thresholds: Vec::new(),
            name: None,
            apply_set: None,
        };
        let request = LimitRequest {
            entity,
            environment: None,
            config,
        };
        control.create_limit(&caller, request).await?;
    }
    control.ledger().begin(&directory.join("spend")).await?;
    let request = SpendRequest {
        organization: caller.organization().clone(),
        spender: Spender {
            environment,
            agent: None,
            user: None,
            teams: Vec::new(),
            key: None,
            llm_proxy: None,
            session: None,
        },
        model: MODEL.to_owned(),
        candidates: vec![Candidate {
            upstream: None,
            model: MODEL.to_owned(),
        }],
        surcharge: None,
    };
    Ok((control.ledger().clone(), request))
}

async fn spend(ledger: &Ledger, request: &SpendRequest, count: usize) -> Result<Vec<f64>> {
    let usage = Usage {
        input_tokens: 200,
        output_tokens: 100,
        ..Usage::default()
    };
    let mut all = Histogram::new();
    for _ in 0..count {
        let request = request.clone();
        let begun = Instant::now();
        let reservation = ledger.reserve(request, |_| usage).await?;
        reservation.settle(Outcome {
            kind: UsageKind::Told,
            candidate: 0,
            usage,
            status: Some(200),
        });
        all.record(begun.elapsed());
    }
    Ok(vec![all.percentile(50).context("nothing was reserved")?])
}
