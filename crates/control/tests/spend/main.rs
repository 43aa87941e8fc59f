//! What may be spent, on SQLite and on PostgreSQL.

mod alerts;
mod faults;
mod limits;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use bailiwick_control::{
    Actor, Bootstrap, Caller, Candidate, Control, Credentials, Ledger, LimitConfig, LimitRequest,
    LimitView, NewEnvironmentRequest, Outcome, Reservation, SealingKeys, SpendError, SpendRequest,
};
use bailiwick_llm::Usage;
use bailiwick_model::{
    Enforcement, EnvironmentId, LimitAmount, LimitEntity, LimitWindow, OrganizationId,
    RollingWindow, UsageKind,
};
use bailiwick_store::{DatabaseUrl, Spender, Store, UsageFilter, UsageGroup};
use bailiwick_testkit::Postgres;
use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;

/// In the table: three dollars for a million tokens of input, fifteen of output.
const MODEL: &str = "claude-sonnet-4-5";
const DAY: LimitWindow = LimitWindow::Rolling(RollingWindow::Day);
const DOLLAR: i64 = 1_000_000_000;

/// A request that is about to be made, and what it can take at most.
#[derive(Clone)]
struct Wanted {
    spend: SpendRequest,
    worst: Usage,
}

/// A database with one organization, and its administrator.
struct Place {
    store: Store,
    control: Arc<Control>,
    caller: Caller,
    environment: EnvironmentId,
    directory: TempDir,
    _database: Option<Postgres>,
}

impl Place {
    async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        Self::on(url, directory, None).await
    }

    async fn postgres() -> Self {
        let database = Postgres::start();
        let url = format!("postgres://postgres@{}/postgres", database.address());
        let directory = tempfile::tempdir().unwrap();
        Self::on(url.parse().unwrap(), directory, Some(database)).await
    }

    async fn on(url: DatabaseUrl, directory: TempDir, database: Option<Postgres>) -> Self {
        let store = Store::open(&url).await.unwrap();
        let control = Arc::new(Control::new(store.clone(), keys()));
        let first = control.bootstrap(Bootstrap::default()).await.unwrap();
        let key = first.unwrap().key;
        let credentials = Credentials {
            key: &key,
            address: None,
        };
        let caller = control.authenticate(credentials).await.unwrap();
        let scope = store.scope(caller.organization());
        let environment = scope.default_environment().await.unwrap().unwrap();
        Self {
            control,
            caller,
            environment: environment.id,
            store: store.clone(),
            directory,
            _database: database,
        }
    }

    fn organization(&self) -> &OrganizationId {
        self.caller.organization()
    }

    /// Another server on the same database.
    fn other(&self) -> Arc<Control> {
        Arc::new(Control::new(self.store.clone(), keys()))
    }

    async fn another_environment(&self) -> EnvironmentId {
        let body = json!({"name": "another"});
        let request = NewEnvironmentRequest {
            body: body.as_object().unwrap().clone(),
            ..NewEnvironmentRequest::default()
        };
        let made = self.control.create_environment(&self.caller, request).await;
        made.unwrap().environment.id
    }

    async fn limit(&self, amount: LimitAmount, window: LimitWindow) -> LimitView {
        self.limit_for(LimitEntity::Organization, None, amount, window)
            .await
    }

    async fn limit_for(
        &self,
        entity: LimitEntity,
        environment: Option<EnvironmentId>,
        amount: LimitAmount,
        window: LimitWindow,
    ) -> LimitView {
        let request = LimitRequest {
            entity,
            environment,
            config: config(amount, window),
        };
        let made = self.control.create_limit(&self.caller, request).await;
        made.unwrap()
    }

    fn request(&self, worst: Usage) -> Wanted {
        let spend = SpendRequest {
            organization: self.organization().clone(),
            spender: Spender {
                environment: self.environment.clone(),
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
        Wanted { spend, worst }
    }

    /// What the records come to, in billionths of a dollar, with how many there are.
    async fn recorded(&self) -> (i64, i64) {
        let filter = UsageFilter {
            from: Timestamp::UNIX_EPOCH,
            until: Timestamp::MAX,
            environment: None,
            user: None,
            agent: None,
            model: None,
        };
        let scope = self.store.scope(self.caller.organization());
        let sums = scope.usage_sums(UsageGroup::Model, &filter, 10).await;
        let sums = sums.unwrap();
        let cost = sums.iter().map(|sum| sum.spent.cost_nanos).sum();
        (cost, sums.iter().map(|sum| sum.requests).sum())
    }

    async fn state(&self, limit: &LimitView) -> (i64, i64) {
        let state = self.control.limit_state(&self.caller, limit).await.unwrap();
        (state.spent, state.leased)
    }
}

fn keys() -> SealingKeys {
    "01".repeat(32).parse().unwrap()
}

fn config(amount: LimitAmount, window: LimitWindow) -> LimitConfig {
    LimitConfig {
        amount,
        window,
        enforcement: Enforcement::Hard,
        models: Vec::new(),
        thresholds: Vec::new(),
        name: None,
        apply_set: None,
    }
}

/// Of `input` tokens of input and `output` of output.
fn usage(input: u64, output: u64) -> Usage {
    Usage {
        input_tokens: input,
        output_tokens: output,
        ..Usage::default()
    }
}

fn told(usage: Usage) -> Outcome {
    Outcome {
        kind: UsageKind::Told,
        candidate: 0,
        usage,
        status: Some(200),
    }
}

fn is_reached(error: &SpendError) -> bool {
    matches!(error, SpendError::Reached(_))
}

async fn on_both<F: Future<Output = ()>>(check: impl Fn(Place) -> F) {
    check(Place::sqlite().await).await;
    check(Place::postgres().await).await;
}

async fn reserve(ledger: &Ledger, wanted: &Wanted) -> Result<Reservation, SpendError> {
    let worst = wanted.worst;
    ledger.reserve(wanted.spend.clone(), |_| worst).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_parallel_requests_on_two_servers_spend_no_more_than_there_is() {
    on_both(|place| async move {
        // A request can take 0.15 and takes 0.09: 200 fit in their worst case, 333 as they are.
        let limit = place.limit(LimitAmount::CostNanos(30 * DOLLAR), DAY).await;
        let servers = [Arc::clone(&place.control), place.other()];
        let requests = (0..1000).map(|number| {
            let control = Arc::clone(&servers[number % 2]);
            let request = place.request(usage(0, 10_000));
            tokio::spawn(async move {
                let reservation = match reserve(control.ledger(), &request).await {
                    Ok(reservation) => reservation,
                    Err(error) => {
                        assert!(is_reached(&error), "{error}");
                        return 0;
                    }
                };
                tokio::task::yield_now().await;
                reservation.settle(told(usage(0, 6000)));
                90_000_000
            })
        });
        let requests: Vec<_> = requests.collect();
        let mut spent = 0;
        for request in requests {
            spent += request.await.unwrap();
        }
        assert!(spent <= 30 * DOLLAR, "{spent}");
        assert!(spent > 15 * DOLLAR, "most of it can be spent: {spent}");
        for server in &servers {
            server.ledger().write_settled().await;
        }
        assert_eq!(place.recorded().await, (spent, spent / 90_000_000));
        assert_eq!(place.state(&limit).await.0, spent);
    })
    .await;
}

#[tokio::test]
async fn what_is_left_can_be_spent_to_the_last_by_either_server() {
    on_both(|place| async move {
        let limit = place.limit(LimitAmount::Tokens(1000), DAY).await;
        let other = place.other();
        let request = place.request(usage(0, 10));
        let mut done = 0;
        for number in 0..200 {
            let control = if number % 2 == 0 {
                &place.control
            } else {
                &other
            };
            match reserve(control.ledger(), &request).await {
                Ok(reservation) => {
                    reservation.settle(told(usage(0, 10)));
                    done += 1;
                }
                Err(error) => assert!(is_reached(&error), "{error}"),
            }
            control.ledger().write_settled().await;
        }
        assert_eq!(done, 100);
        assert_eq!(place.state(&limit).await, (1000, 0));
    })
    .await;
}

#[tokio::test]
async fn cache_reads_and_writes_are_priced_as_such() {
    let place = Place::sqlite().await;
    place.limit(LimitAmount::CostNanos(DOLLAR), DAY).await;
    let ledger = place.control.ledger();
    let reservation = reserve(ledger, &place.request(usage(10_000, 1000))).await;
    reservation.unwrap().settle(told(Usage {
        input_tokens: 1000,
        output_tokens: 100,
        cache_read_tokens: 10_000,
        cache_write_5m_tokens: 2000,
        cache_write_1h_tokens: 500,
    }));
    ledger.write_settled().await;
    // 3000 + 1500 + 3000 + 7500 + 3000 millionths of a dollar.
    assert_eq!(place.recorded().await, (18_000_000, 1));
}

#[tokio::test]
async fn a_reservation_that_nobody_settles_counts_as_its_worst_case() {
    let place = Place::sqlite().await;
    let limit = place.limit(LimitAmount::Tokens(100), DAY).await;
    let ledger = place.control.ledger();
    drop(
        reserve(ledger, &place.request(usage(20, 30)))
            .await
            .unwrap(),
    );
    ledger.write_settled().await;
    assert_eq!(place.state(&limit).await.0, 50);
    let refused = reserve(ledger, &place.request(usage(0, 51))).await;
    assert!(is_reached(&refused.unwrap_err()));
}

#[tokio::test]
async fn a_refusal_says_which_limit_its_window_and_what_is_left() {
    let place = Place::sqlite().await;
    let limit = place.limit(LimitAmount::CostNanos(DOLLAR / 10), DAY).await;
    let ledger = place.control.ledger();
    let reservation = reserve(ledger, &place.request(usage(0, 1000)))
        .await
        .unwrap();
    reservation.settle(told(usage(0, 1000)));
    let refused = reserve(ledger, &place.request(usage(0, 10_000)))
        .await
        .unwrap_err();
    let expected = format!(
        "the limit {} of $0.10 in any 24h for organization has $0.085 left, and this could take $0.15",
        limit.limit.id
    );
    assert_eq!(refused.to_string(), expected);
}

#[tokio::test]
async fn usage_is_that_of_the_moment_at_which_a_request_was_made() {
    let place = Place::sqlite().await;
    let other = place.another_environment().await;
    let here = LimitEntity::Environment(place.environment.clone());
    let there = LimitEntity::Environment(other);
    let here = place
        .limit_for(here, None, LimitAmount::Tokens(100), DAY)
        .await;
    let there = place
        .limit_for(there, None, LimitAmount::Tokens(100), DAY)
        .await;
    let ledger = place.control.ledger();
    let reservation = reserve(ledger, &place.request(usage(0, 40))).await.unwrap();
    reservation.settle(told(usage(0, 40)));
    ledger.write_settled().await;
    assert_eq!(place.state(&here).await.0, 40);
    assert_eq!(place.state(&there).await.0, 0);
    let mut by_environment = BTreeMap::new();
    let filter = UsageFilter {
        from: Timestamp::UNIX_EPOCH,
        until: Timestamp::MAX,
        environment: None,
        user: None,
        agent: None,
        model: None,
    };
    let scope = place.store.scope(place.organization());
    for sum in scope
        .usage_sums(UsageGroup::Environment, &filter, 10)
        .await
        .unwrap()
    {
        by_environment.insert(sum.of.unwrap(), sum.spent.tokens());
    }
    let expected = BTreeMap::from([(place.environment.to_string(), 40)]);
    assert_eq!(by_environment, expected);
}
