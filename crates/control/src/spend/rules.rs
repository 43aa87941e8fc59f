//! Which limits hold for a request.

use std::sync::Arc;

use bailiwick_llm::Overrides;
use bailiwick_model::{
    Enforcement, EnvironmentId, LimitAmount, LimitEntity, LimitId, LimitWindow, UserId,
};
use bailiwick_store::{LimitsOfOrganization, SpendAccount, SpendLimit, Spender, Spent, StoreError};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::window::{self, Span};

/// What a limit says, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitConfig {
    /// How much.
    pub amount: LimitAmount,
    /// In which time.
    pub window: LimitWindow,
    /// What happens where it would be more.
    pub enforcement: Enforcement,
    /// Of which models, by name or by the beginning of it and `*`; of all if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// How much of it has to be spent for that to be told, in percent, in ascending order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<u16>,
    /// What people, and `bailiwick apply`, find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The set of `bailiwick apply` that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_set: Option<String>,
}

/// All limits of an organization, ready to be asked.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Counts their changes.
    pub(crate) version: i64,
    pub(crate) zone: TimeZone,
    /// What models cost there, where it is not what the table says.
    pub(super) prices: Overrides,
    rules: Vec<Arc<Rule>>,
}

/// One limit.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: LimitId,
    pub(crate) entity: LimitEntity,
    pub(crate) environment: Option<EnvironmentId>,
    pub(crate) config: LimitConfig,
    /// When it became as it is.
    pub(crate) changed_at: Timestamp,
}

/// A limit that holds for a request, and the account that the request is on.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    pub(crate) account: SpendAccount,
    pub(crate) rule: Arc<Rule>,
}

impl LimitConfig {
    /// What was stored.
    pub(crate) fn stored(text: &str) -> Result<Self, StoreError> {
        serde_json::from_str(text).map_err(|_| StoreError::Corrupt { column: "config" })
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts")
    }

    /// Of what was spent, how much counts, in the unit of the limit.
    pub(crate) fn counted(&self, spent: &Spent) -> i64 {
        match self.amount {
            LimitAmount::CostNanos(_) => spent.cost_nanos,
            LimitAmount::Tokens(_) => spent.tokens(),
        }
    }

    /// Whether it can stand in the place of another: it counts the same, for all models that the other is about, and refuses if the other does.
    fn replaces(&self, other: &Self) -> bool {
        let counts_the_same = match (self.amount, other.amount) {
            (LimitAmount::CostNanos(_), LimitAmount::CostNanos(_))
            | (LimitAmount::Tokens(_), LimitAmount::Tokens(_)) => true,
            (LimitAmount::CostNanos(_), LimitAmount::Tokens(_))
            | (LimitAmount::Tokens(_), LimitAmount::CostNanos(_)) => false,
        };
        let is_about_all = self.models.is_empty() || self.models == other.models;
        let refuses = match (self.enforcement, other.enforcement) {
            (Enforcement::Hard, _) | (Enforcement::Soft, Enforcement::Soft) => true,
            (Enforcement::Soft, Enforcement::Hard) => false,
        };
        counts_the_same && is_about_all && refuses
    }

    /// Whether it is about a model, by any of its names.
    pub(crate) fn is_about(&self, names: &[&str]) -> bool {
        let matches = |pattern: &String| names.iter().any(|name| is_named(pattern, name));
        self.models.is_empty() || self.models.iter().any(matches)
    }
}

/// Case does not count, and neither does a provider in front that the pattern does not have.
pub(crate) fn is_named(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    let bare = name.rsplit('/').next().unwrap_or_default();
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning) || bare.starts_with(beginning),
        None => name == pattern || bare == pattern,
    }
}

impl Rule {
    /// A stored limit, compiled.
    pub(crate) fn of(limit: SpendLimit) -> Result<Self, StoreError> {
        Ok(Self {
            id: limit.id,
            entity: limit.values.entity,
            environment: limit.values.environment,
            config: LimitConfig::stored(&limit.values.config)?,
            changed_at: limit.updated_at,
        })
    }

    fn counts_in(&self, environment: &EnvironmentId) -> bool {
        self.environment
            .as_ref()
            .is_none_or(|own| own == environment)
    }

    pub(crate) fn is_hard(&self) -> bool {
        self.config.enforcement == Enforcement::Hard
    }

    pub(crate) fn is_money(&self) -> bool {
        matches!(self.config.amount, LimitAmount::CostNanos(_))
    }

    pub(crate) fn span(&self, zone: &TimeZone, at: Timestamp) -> Span {
        window::span(self.config.window, zone, at)
    }

    pub(crate) fn bucket(&self, zone: &TimeZone, at: Timestamp) -> i64 {
        window::bucket(self.config.window, zone, at)
    }
}

impl Rules {
    /// What is stored, compiled.
    pub(crate) fn of(stored: LimitsOfOrganization) -> Result<Self, StoreError> {
        let rules = stored.limits.into_iter().map(Rule::of);
        let rules = rules.map(|rule| rule.map(Arc::new));
        Ok(Self {
            version: stored.version,
            zone: zone(stored.settings.time_zone.as_deref()),
            prices: match &stored.settings.model_prices {
                Some(text) => serde_json::from_str(text).map_err(|_| StoreError::Corrupt {
                    column: "model_prices",
                })?,
                None => Overrides::default(),
            },
            rules: rules.collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn get(&self, id: &LimitId) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| rule.id == *id)
    }

    /// The limits that hold for who spends, of a model with these names.
    pub(crate) fn applied(&self, spender: &Spender, names: &[&str]) -> Vec<Applied> {
        let user = spender.user.as_ref();
        let holds = |rule: &&Arc<Rule>| {
            rule.counts_in(&spender.environment)
                && rule.config.is_about(names)
                && self.is_for(rule, spender)
        };
        let applied = self.rules.iter().filter(holds).map(|rule| Applied {
            account: SpendAccount {
                limit: rule.id.clone(),
                user: match rule.entity {
                    LimitEntity::EachUser => user.cloned(),
                    LimitEntity::Organization
                    | LimitEntity::Team(_)
                    | LimitEntity::User(_)
                    | LimitEntity::Agent(_)
                    | LimitEntity::LlmProxy(_)
                    | LimitEntity::VirtualKey(_)
                    | LimitEntity::Environment(_) => None,
                },
            },
            rule: Arc::clone(rule),
        });
        applied.collect()
    }

    fn is_for(&self, rule: &Rule, spender: &Spender) -> bool {
        match &rule.entity {
            LimitEntity::Organization => true,
            LimitEntity::Team(team) => spender.teams.contains(team),
            LimitEntity::User(user) => spender.user.as_ref() == Some(user),
            LimitEntity::EachUser => {
                let user = spender.user.as_ref();
                user.is_some_and(|user| self.is_usual_for(rule, user, &spender.environment))
            }
            LimitEntity::Agent(agent) => spender.agent.as_ref() == Some(agent),
            LimitEntity::LlmProxy(proxy) => spender.llm_proxy.as_ref() == Some(proxy),
            LimitEntity::VirtualKey(key) => spender.key.as_ref() == Some(key),
            LimitEntity::Environment(environment) => spender.environment == *environment,
        }
    }

    /// Whether a limit for each user holds for one: an environment's own replaces the organization's there, and a limit for the user alone both.
    fn is_usual_for(&self, rule: &Rule, user: &UserId, environment: &EnvironmentId) -> bool {
        let mut others = self
            .rules
            .iter()
            .filter(|other| other.config.replaces(&rule.config));
        let is_replaced = others.any(|other| match &other.entity {
            LimitEntity::User(own) => own == user && other.counts_in(environment),
            LimitEntity::EachUser => {
                rule.environment.is_none() && other.environment.as_ref() == Some(environment)
            }
            LimitEntity::Organization
            | LimitEntity::Team(_)
            | LimitEntity::Agent(_)
            | LimitEntity::LlmProxy(_)
            | LimitEntity::VirtualKey(_)
            | LimitEntity::Environment(_) => false,
        });
        !is_replaced
    }
}

/// By its name; UTC if there is none, or this version does not know it.
pub(crate) fn zone(name: Option<&str>) -> TimeZone {
    let zone = name.and_then(|name| TimeZone::get(name).ok());
    zone.unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use bailiwick_model::{ResourceId, RollingWindow};

    use super::*;

    fn id<I: ResourceId>(number: u8) -> I {
        I::made(0, [number; 10])
    }

    fn rule(
        number: u8,
        entity: LimitEntity,
        environment: Option<u8>,
        models: &[&str],
    ) -> Arc<Rule> {
        Arc::new(Rule {
            id: id(number),
            entity,
            environment: environment.map(id),
            config: LimitConfig {
                amount: LimitAmount::Tokens(1),
                window: LimitWindow::Rolling(RollingWindow::Hour),
                enforcement: Enforcement::Hard,
                models: models.iter().map(ToString::to_string).collect(),
                thresholds: Vec::new(),
                name: None,
                apply_set: None,
            },
            changed_at: Timestamp::UNIX_EPOCH,
        })
    }

    fn spender(environment: u8, user: Option<u8>) -> Spender {
        Spender {
            environment: id(environment),
            agent: Some(id(5)),
            user: user.map(id),
            teams: vec![id(6)],
            key: Some(id(7)),
            llm_proxy: Some(id(8)),
            session: None,
        }
    }

    fn check(rules: Vec<Arc<Rule>>, spender: &Spender, model: &str, expect: &[u8]) {
        let rules = Rules {
            version: 1,
            zone: TimeZone::UTC,
            prices: Overrides::default(),
            rules,
        };
        let applied = rules.applied(spender, &[model]);
        let found: Vec<_> = applied.into_iter().map(|one| one.account.limit).collect();
        let expect: Vec<LimitId> = expect.iter().map(|&number| id(number)).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn a_limit_holds_for_whom_it_is_and_where_it_counts() {
        let rules = || {
            vec![
                rule(1, LimitEntity::Organization, None, &[]),
                rule(2, LimitEntity::Organization, Some(2), &[]),
                rule(3, LimitEntity::Team(id(6)), None, &[]),
                rule(4, LimitEntity::Team(id(9)), None, &[]),
                rule(5, LimitEntity::Agent(id(5)), None, &[]),
                rule(6, LimitEntity::LlmProxy(id(8)), None, &[]),
                rule(7, LimitEntity::VirtualKey(id(7)), Some(1), &[]),
                rule(8, LimitEntity::Environment(id(1)), None, &[]),
                rule(9, LimitEntity::Environment(id(2)), None, &[]),
            ]
        };
        check(rules(), &spender(1, None), "m", &[1, 3, 5, 6, 7, 8]);
        check(rules(), &spender(2, None), "m", &[1, 2, 3, 5, 6, 9]);
    }

    #[test]
    fn what_is_for_each_user_is_replaced_by_the_environments_and_by_the_users_own() {
        let rules = || {
            vec![
                rule(1, LimitEntity::EachUser, None, &[]),
                rule(2, LimitEntity::EachUser, Some(1), &[]),
                rule(3, LimitEntity::User(id(9)), None, &[]),
            ]
        };
        check(rules(), &spender(1, Some(4)), "m", &[2]);
        check(rules(), &spender(2, Some(4)), "m", &[1]);
        check(rules(), &spender(1, Some(9)), "m", &[3]);
        check(rules(), &spender(1, None), "m", &[]);
    }

    #[test]
    fn a_model_is_named_by_its_name_or_the_beginning_of_it_in_any_case() {
        let rules = || {
            vec![
                rule(1, LimitEntity::Organization, None, &["claude-*"]),
                rule(2, LimitEntity::Organization, None, &["gpt-5"]),
            ]
        };
        check(rules(), &spender(1, None), "Claude-Opus-4", &[1]);
        check(rules(), &spender(1, None), "anthropic/claude-opus-4", &[1]);
        check(rules(), &spender(1, None), "GPT-5", &[2]);
        check(rules(), &spender(1, None), "gpt-5-mini", &[]);
    }
}
