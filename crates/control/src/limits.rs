//! What may be spent: setting limits, and how much of them is left.

use std::collections::BTreeMap;

use bailiwick_model::limits::{
    APPLY_SET_CHARS, LIMIT_NAME_CHARS, LIMIT_THRESHOLD_PERCENT, LIMIT_THRESHOLDS,
    MODEL_PATTERN_CHARS, SPEND_LIMIT_MODELS, SPEND_LIMIT_NANOS, SPEND_LIMIT_TOKENS, SPEND_LIMITS,
};
use bailiwick_model::{
    EnvironmentId, LimitAmount, LimitEntity, LimitId, LimitWindow, Permission, ResourceId as _,
    UserId,
};
use bailiwick_store::{Change, SpendAccount, SpendLimit, SpendLimitValues, StoreError};
use bailiwick_wire::FieldProblem;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::control::Control;
use crate::error::ControlError;
use crate::spend::{LimitConfig, Rule, seconds_of, zone};
use crate::{clock, fresh};

/// What the errors call it.
const KIND: &str = "limit";
/// Users of a limit for each user that are told of.
const USERS: u32 = 100;
/// Parts of a window that is counted as one: longer than any.
const WHOLE_SECONDS: i64 = 1 << 40;

/// A limit that is to be, or what one is to become.
#[derive(Debug, Clone)]
pub struct LimitRequest {
    /// Whose spending it holds down.
    pub entity: LimitEntity,
    /// Where it counts, if not everywhere.
    pub environment: Option<EnvironmentId>,
    /// How much, in which time.
    pub config: LimitConfig,
}

/// A limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitView {
    /// As it is stored.
    pub limit: SpendLimit,
    /// How much, in which time.
    pub config: LimitConfig,
}

/// How much of a limit is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitState {
    /// What was spent in the window, in the limit's unit.
    pub spent: i64,
    /// What servers have taken to spend and not said what became of.
    pub leased: i64,
    /// When all of it is there again, if that is at once.
    pub resets_at: Option<Timestamp>,
    /// Of a limit for each user, what those have spent that spent most.
    pub users: Vec<(UserId, i64)>,
}

impl LimitView {
    fn of(limit: SpendLimit) -> Result<Self, ControlError> {
        Ok(Self {
            config: LimitConfig::stored(&limit.values.config)?,
            limit,
        })
    }

    /// For the audit log.
    fn evidence(&self) -> Value {
        let values = &self.limit.values;
        json!({"entity": values.entity, "environment_id": values.environment, "config": self.config})
    }
}

impl Control {
    /// All limits, the oldest first.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn limits(&self, caller: &Caller) -> Result<Vec<LimitView>, ControlError> {
        caller.require(Permission::LimitRead)?;
        let stored = self
            .store
            .scope(&caller.organization)
            .spend_limits()
            .await?;
        stored.into_iter().map(LimitView::of).collect()
    }

    /// One limit.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn limit(&self, caller: &Caller, id: &LimitId) -> Result<LimitView, ControlError> {
        caller.require(Permission::LimitRead)?;
        let found = self
            .store
            .scope(&caller.organization)
            .spend_limit(id)
            .await?;
        LimitView::of(found.ok_or(ControlError::NotFound(KIND))?)
    }

    /// How much of a limit is used now, for whoever saw it or has set it.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn limit_state(
        &self,
        caller: &Caller,
        view: &LimitView,
    ) -> Result<LimitState, ControlError> {
        let scope = self.store.scope(&caller.organization);
        let settings = scope.spend_settings().await?;
        let rule = Rule::of(view.limit.clone())?;
        let span = rule.span(&zone(settings.time_zone.as_deref()), clock::now());
        let mut state = LimitState {
            spent: 0,
            leased: 0,
            resets_at: span.resets_at,
            users: Vec::new(),
        };
        if view.limit.values.entity == LimitEntity::EachUser {
            let id = &view.limit.id;
            state.users = scope.spent_by_user(id, span.from, USERS).await?;
            return Ok(state);
        }
        let account = SpendAccount {
            limit: view.limit.id.clone(),
            user: None,
        };
        (state.spent, state.leased) = scope.spent_and_leased(&account, span.from).await?;
        Ok(state)
    }

    /// Sets a limit. What was spent in its window before counts.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`], [`ControlError::Full`], and what every use case may answer.
    pub async fn create_limit(
        &self,
        caller: &Caller,
        request: LimitRequest,
    ) -> Result<LimitView, ControlError> {
        caller.require(Permission::LimitAdmin)?;
        self.check_limit(caller, &request).await?;
        let mut change = self.change(caller, clock::now()).await?;
        let count = change.count_spend_limits().await?;
        if usize::try_from(count).unwrap_or(usize::MAX) >= SPEND_LIMITS {
            return Err(ControlError::Full {
                kind: "organization",
                what: "limits",
                limit: SPEND_LIMITS,
            });
        }
        let made = change.insert_spend_limit(fresh::id(change.at()), values(&request));
        let made = LimitView::of(made.await.map_err(gone)?)?;
        self.count_anew(&mut change, &made).await?;
        let about = (KIND, made.limit.id.as_str());
        let event = caller.event("limit.create", about, None, Some(&made.evidence()));
        change.commit(&event).await?;
        self.ledger.limits_changed(&caller.organization);
        Ok(made)
    }

    /// Changes a limit. Requests that are made from then on go by it.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Invalid`], [`ControlError::Stale`], and what every use case may answer.
    pub async fn update_limit(
        &self,
        caller: &Caller,
        id: &LimitId,
        request: LimitRequest,
        version: Option<i64>,
    ) -> Result<LimitView, ControlError> {
        caller.require(Permission::LimitAdmin)?;
        let before = self.limit_to_change(caller, id).await?;
        if version.is_some_and(|version| version != before.limit.version) {
            return Err(ControlError::Stale(KIND));
        }
        self.check_limit(caller, &request).await?;
        let values = values(&request);
        if values == before.limit.values {
            return Ok(before);
        }
        let mut change = self.change(caller, clock::now()).await?;
        let changed = change.update_spend_limit(&before.limit, values);
        let changed = LimitView::of(changed.await.map_err(gone)?)?;
        self.count_anew(&mut change, &changed).await?;
        let (was, is) = (before.evidence(), changed.evidence());
        let event = caller.event("limit.update", (KIND, id.as_str()), Some(&was), Some(&is));
        change.commit(&event).await?;
        self.ledger.limits_changed(&caller.organization);
        Ok(changed)
    }

    /// Takes a limit away.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn delete_limit(&self, caller: &Caller, id: &LimitId) -> Result<(), ControlError> {
        caller.require(Permission::LimitAdmin)?;
        let mut change = self.change(caller, clock::now()).await?;
        let found = change.spend_limit(id).await?;
        let before = LimitView::of(found.ok_or(ControlError::NotFound(KIND))?)?;
        change.hold_ledger().await?;
        change.delete_spend_limit(id).await?;
        let was = before.evidence();
        let event = caller.event("limit.delete", (KIND, id.as_str()), Some(&was), None);
        change.commit(&event).await?;
        self.ledger.limits_changed(&caller.organization);
        Ok(())
    }

    async fn limit_to_change(
        &self,
        caller: &Caller,
        id: &LimitId,
    ) -> Result<LimitView, ControlError> {
        let found = self
            .store
            .scope(&caller.organization)
            .spend_limit(id)
            .await?;
        LimitView::of(found.ok_or(ControlError::NotFound(KIND))?)
    }

    /// What was spent in the window of a limit, by the records: they know who, where and of which model.
    async fn count_anew(&self, change: &mut Change, view: &LimitView) -> Result<(), ControlError> {
        change.hold_ledger().await?;
        let settings = change.spend_settings().await?;
        let (at, zone) = (change.at(), zone(settings.time_zone.as_deref()));
        let rule = Rule::of(view.limit.clone())?;
        let from = rule.span(&zone, at).from;
        let seconds = match view.config.window {
            LimitWindow::Rolling(window) => seconds_of(window),
            LimitWindow::Calendar(_) => WHOLE_SECONDS,
        };
        let entity = &view.limit.values.entity;
        let since = Timestamp::from_second(from).unwrap_or(Timestamp::UNIX_EPOCH);
        let since = since.max(
            at.checked_sub(SignedDuration::from_hours(24 * 40))
                .unwrap_or(since),
        );
        let used = change.usage_by_bucket(
            (since, seconds),
            (entity.kind(), entity.id()),
            view.limit.values.environment.as_ref(),
        );
        let mut sums: BTreeMap<(SpendAccount, i64), i64> = BTreeMap::new();
        for part in used.await? {
            let [asked, upstream] = &part.models;
            if !view.config.is_about(&[asked, upstream]) {
                continue;
            }
            let user = part.user.filter(|_| *entity == LimitEntity::EachUser);
            let account = SpendAccount {
                limit: view.limit.id.clone(),
                user,
            };
            let amount = match view.config.amount {
                LimitAmount::CostNanos(_) => part.cost_nanos,
                LimitAmount::Tokens(_) => part.tokens,
            };
            let sum = sums.entry((account, part.starts_at.max(from))).or_default();
            *sum = sum.saturating_add(amount);
        }
        change.clear_buckets(&view.limit.id).await?;
        for ((account, bucket), amount) in sums {
            change.count_spent(&account, bucket, amount).await?;
        }
        Ok(())
    }

    /// The same for all limits: days begin elsewhere from now on.
    pub(crate) async fn count_all_anew(&self, change: &mut Change) -> Result<(), ControlError> {
        for limit in change.spend_limits().await? {
            let view = LimitView::of(limit)?;
            self.count_anew(change, &view).await?;
        }
        Ok(())
    }

    async fn check_limit(
        &self,
        caller: &Caller,
        request: &LimitRequest,
    ) -> Result<(), ControlError> {
        let mut problems = problems(request);
        let scope = self.store.scope(&caller.organization);
        let is_there = match &request.entity {
            LimitEntity::Organization | LimitEntity::EachUser => true,
            LimitEntity::Team(id) => scope.team(id).await?.is_some(),
            LimitEntity::User(id) => scope.member(id).await?.is_some(),
            LimitEntity::Agent(id) => scope.agent(id).await?.is_some(),
            LimitEntity::LlmProxy(id) => scope.llm_proxy(id).await?.is_some(),
            LimitEntity::VirtualKey(id) => scope.has_virtual_key(id).await?,
            LimitEntity::Environment(id) => scope.environment(id).await?.is_some(),
        };
        if !is_there {
            let message = format!(
                "there is no such {}",
                request.entity.kind().replace('_', " ")
            );
            problems.push(unknown("entity.id", message));
        }
        if let Some(environment) = &request.environment
            && scope.environment(environment).await?.is_none()
        {
            problems.push(unknown(
                "environment_id",
                "there is no such environment".to_owned(),
            ));
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(ControlError::Invalid(problems)),
        }
    }
}

/// The environment went between two looks.
fn gone(error: StoreError) -> ControlError {
    if matches!(error, StoreError::Referred) {
        return ControlError::NotFound("environment");
    }
    ControlError::of(KIND)(error)
}

fn values(request: &LimitRequest) -> SpendLimitValues {
    SpendLimitValues {
        entity: request.entity.clone(),
        environment: request.environment.clone(),
        config: request.config.to_json(),
    }
}

fn unknown(field: &str, message: String) -> FieldProblem {
    FieldProblem {
        field: field.to_owned(),
        code: "not_found",
        message,
        help: "name one of this organization".to_owned(),
    }
}

/// What is wrong with the numbers and names of a limit.
fn problems(request: &LimitRequest) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    let mut refuse = |field: &str, code, message: String, help: &str| {
        problems.push(FieldProblem {
            field: field.to_owned(),
            code,
            message,
            help: help.to_owned(),
        });
    };
    let config = &request.config;
    let (field, most) = match config.amount {
        LimitAmount::CostNanos(_) => ("max_cost_usd", SPEND_LIMIT_NANOS),
        LimitAmount::Tokens(_) => ("max_tokens", SPEND_LIMIT_TOKENS),
    };
    if !(0..=most).contains(&config.amount.number()) {
        let message = "is negative, or more than a limit can be".to_owned();
        refuse(
            field,
            "out_of_range",
            message,
            "name a smaller amount, or set no limit",
        );
    }
    if config.models.len() > SPEND_LIMIT_MODELS {
        let message = format!("has more than {SPEND_LIMIT_MODELS} models");
        refuse(
            "models",
            "too_many",
            message,
            "use patterns such as claude-*, or several limits",
        );
    }
    for (index, pattern) in config.models.iter().enumerate() {
        if !is_pattern(pattern) {
            let message = "is no name of a model, and no beginning of one with * at its end";
            let help = "write claude-opus-4-5, or claude-*";
            refuse(
                &format!("models[{index}]"),
                "invalid_model",
                message.to_owned(),
                help,
            );
        }
    }
    words(config, &mut refuse);
    problems
}

/// What is wrong with what is said beside numbers and models.
fn words(config: &LimitConfig, refuse: &mut impl FnMut(&str, &'static str, String, &str)) {
    for (field, text, most) in [
        ("name", &config.name, LIMIT_NAME_CHARS),
        ("apply_set", &config.apply_set, APPLY_SET_CHARS),
    ] {
        if text.as_ref().is_some_and(|text| !is_text(text, most)) {
            let message = format!("has to be a text of 1 to {most} characters");
            refuse(
                field,
                "invalid_text",
                message,
                "shorten it, or leave it out",
            );
        }
    }
    let thresholds = &config.thresholds;
    let is_percent = |percent: &u16| (1..=LIMIT_THRESHOLD_PERCENT).contains(percent);
    if thresholds.len() > LIMIT_THRESHOLDS {
        let message = format!("has more than {LIMIT_THRESHOLDS} thresholds");
        refuse("thresholds", "too_many", message, "name fewer");
    } else if !thresholds.iter().all(is_percent) || !thresholds.is_sorted_by(|one, next| one < next)
    {
        let message = format!(
            "has to be percents from 1 to {LIMIT_THRESHOLD_PERCENT}, each once, in ascending order"
        );
        refuse(
            "thresholds",
            "invalid_threshold",
            message,
            "write [50, 80, 100]",
        );
    }
}

/// A text of one line, without space around it.
pub(crate) fn is_text(text: &str, most: usize) -> bool {
    let is_plain = !text.contains(char::is_control) && text.trim() == text;
    is_plain && (1..=most).contains(&text.chars().count())
}

/// A name of a model, or the beginning of one.
pub(crate) fn is_pattern(pattern: &str) -> bool {
    let name = pattern.strip_suffix('*').unwrap_or(pattern);
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && c != '*';
    (1..=MODEL_PATTERN_CHARS).contains(&pattern.chars().count()) && name.chars().all(plain)
}
