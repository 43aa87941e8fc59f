//! Thresholds of limits: that so much of one was spent is told once in its window.
//!
//! What was passed is found where what was spent is counted, under the organization's ledger: so no two servers tell it, and no request waits for
//! it. From there it is exported as other records are.

use std::collections::BTreeSet;

use bailiwick_model::limits::LIMIT_ALERTS_KEPT;
use bailiwick_model::{
    Enforcement, EnvironmentId, LimitEntity, LimitId, LimitWindow, OrganizationId, Permission,
    UserId,
};
use bailiwick_store::{LimitAlert, NewLimitAlert, SpendAccount, Spending, StoreError};
use bailiwick_wire::Schema;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Rule, Rules, Shared, money_or_tokens};
use crate::caller::Caller;
use crate::clock;
use crate::control::Control;
use crate::error::ControlError;

/// A threshold that was passed, as it is shown and exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitAlertLine {
    organization_id: OrganizationId,
    /// From 1, in the order in which they were passed.
    pub sequence: i64,
    at: Timestamp,
    limit_id: LimitId,
    #[serde(flatten)]
    told: Told,
}

/// What is kept of it: the limit as it was then, and what was spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    limit_name: Option<String>,
    entity: LimitEntity,
    environment_id: Option<EnvironmentId>,
    /// Of a limit for each user, whose it is.
    user_id: Option<UserId>,
    models: Vec<String>,
    window: LimitWindow,
    enforcement: Enforcement,
    threshold_percent: u16,
    max_cost_usd: Option<String>,
    max_tokens: Option<i64>,
    spent_usd: Option<String>,
    spent_tokens: Option<i64>,
    resets_at: Option<Timestamp>,
}

impl LimitAlertLine {
    /// What it looks like.
    pub fn schema() -> Schema {
        let money = || Schema::text().or_null();
        let tokens = || Schema::count().or_null();
        Schema::answer()
            .has("organization_id", Schema::id::<OrganizationId>())
            .has("sequence", Schema::version())
            .has("at", Schema::moment().says("When it was found."))
            .has("limit_id", Schema::id::<LimitId>())
            .has("limit_name", Schema::text().or_null())
            .has("entity", Schema::any().says("Whose spending it is about."))
            .has("environment_id", Schema::id::<EnvironmentId>().or_null())
            .has("user_id", Schema::id::<UserId>().or_null())
            .has("models", Schema::list(Schema::text()))
            .has("window", Schema::text())
            .has("enforcement", Schema::words(["hard", "soft"]))
            .has("threshold_percent", Schema::count())
            .has("max_cost_usd", money())
            .has("max_tokens", tokens())
            .has("spent_usd", money())
            .has("spent_tokens", tokens())
            .has("resets_at", Schema::moment().or_null())
            .named("LimitAlert")
    }

    pub(crate) fn of(
        organization: &OrganizationId,
        stored: LimitAlert,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            organization_id: organization.clone(),
            sequence: stored.sequence,
            at: stored.at,
            limit_id: stored.limit,
            told: serde_json::from_str(&stored.alert)?,
        })
    }
}

impl Told {
    fn of(rule: &Rule, account: &SpendAccount, percent: u16, spent: i64) -> Self {
        let amount = rule.config.amount;
        let (max_cost_usd, max_tokens) = money_or_tokens(amount, amount.number());
        let (spent_usd, spent_tokens) = money_or_tokens(amount, spent);
        Self {
            limit_name: rule.config.name.clone(),
            entity: rule.entity.clone(),
            environment_id: rule.environment.clone(),
            user_id: account.user.clone(),
            models: rule.config.models.clone(),
            window: rule.config.window,
            enforcement: rule.config.enforcement,
            threshold_percent: percent,
            max_cost_usd,
            max_tokens,
            spent_usd,
            spent_tokens,
            resets_at: None,
        }
    }
}

/// Which thresholds of a limit so much has passed.
fn passed(rule: &Rule, spent: i64) -> impl Iterator<Item = u16> {
    let (spent, most) = (i128::from(spent), i128::from(rule.config.amount.number()));
    let thresholds = rule.config.thresholds.iter().copied();
    thresholds.filter(move |percent| spent > 0 && spent * 100 >= most * i128::from(*percent))
}

/// Tells what these accounts have passed and what was not told in their windows.
pub(super) async fn tell_passed<'a>(
    spending: &mut Spending,
    rules: &Rules,
    accounts: impl IntoIterator<Item = &'a SpendAccount>,
) -> Result<(), StoreError> {
    let accounts: BTreeSet<_> = accounts.into_iter().collect();
    let now = clock::now();
    for account in accounts {
        let Some(rule) = rules.get(&account.limit) else {
            continue;
        };
        if rule.config.thresholds.is_empty() {
            continue;
        }
        let span = rule.span(&rules.zone, now);
        let spent = spending.spent(account, span.from).await?;
        let mut passed = passed(rule, spent).peekable();
        if passed.peek().is_none() {
            continue;
        }
        // A limit that was changed is told of anew.
        let begun = Timestamp::from_second(span.from).unwrap_or(Timestamp::MIN);
        let told = spending.alerted(account, begun.max(rule.changed_at));
        let told = told.await?;
        for percent in passed.filter(|percent| !told.contains(&i64::from(*percent))) {
            let told = Told {
                resets_at: span.resets_at,
                ..Told::of(rule, account, percent, spent)
            };
            let alert = serde_json::to_string(&told).expect("words and numbers");
            let account = account.clone();
            let new = NewLimitAlert {
                account,
                percent,
                at: now,
                alert,
            };
            spending.insert_alert(&new).await?;
        }
    }
    Ok(())
}

impl Shared {
    /// Forgets what was told long ago.
    pub(super) async fn sweep_alerts(&self) -> Result<(), StoreError> {
        let kept = SignedDuration::try_from(LIMIT_ALERTS_KEPT).unwrap_or(SignedDuration::MAX);
        let before = clock::now().checked_sub(kept).unwrap_or(Timestamp::MIN);
        for organization in self.store.organizations().await? {
            self.store.sweep_alerts(&organization, before).await?;
        }
        Ok(())
    }
}

impl Control {
    /// Thresholds that were passed, after the one with the number `after`, the oldest first.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn limit_alerts(
        &self,
        caller: &Caller,
        after: i64,
        limit: u32,
    ) -> Result<Vec<LimitAlertLine>, ControlError> {
        caller.require(Permission::LimitRead)?;
        let scope = self.store.scope(&caller.organization);
        let found = scope.limit_alerts(after, limit).await?;
        let line = |stored| LimitAlertLine::of(&caller.organization, stored);
        let lines = found.into_iter().map(line).collect::<Result<_, _>>();
        lines.map_err(|_| StoreError::Corrupt { column: "alert" }.into())
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_model::{LimitAmount, ResourceId as _, RollingWindow};

    use super::*;
    use crate::spend::LimitConfig;

    fn check(amount: i64, spent: i64, expect: &[u16]) {
        let rule = Rule {
            id: LimitId::made(0, [1; 10]),
            entity: LimitEntity::Organization,
            environment: None,
            config: LimitConfig {
                amount: LimitAmount::Tokens(amount),
                window: LimitWindow::Rolling(RollingWindow::Hour),
                enforcement: Enforcement::Soft,
                models: Vec::new(),
                thresholds: vec![50, 80, 100, 200],
                name: None,
                apply_set: None,
            },
            changed_at: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(passed(&rule, spent).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn a_threshold_is_passed_when_so_much_of_the_limit_is_spent() {
        check(10, 4, &[]);
        check(10, 5, &[50]);
        check(10, 9, &[50, 80]);
        check(10, 10, &[50, 80, 100]);
        check(10, i64::MAX, &[50, 80, 100, 200]);
        check(i64::MAX, i64::MAX, &[50, 80, 100]);
        // Of nothing, nothing is spent.
        check(0, 0, &[]);
        check(0, 1, &[50, 80, 100, 200]);
    }
}
