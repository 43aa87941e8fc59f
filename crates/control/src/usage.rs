//! What was used, and what it costs.

use std::collections::BTreeMap;

use bailiwick_llm::ModelPrice;
use bailiwick_model::limits::{PRICED_MODELS, TIME_ZONE_CHARS, USAGE_ROWS};
use bailiwick_model::{Permission, ResourceId as _, UsageRecordId};
use bailiwick_store::{
    Page, PageRequest, SpendSettings, StoreError, UsageFilter, UsageGroup, UsageRecord, UsageSum,
};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::json;

use crate::caller::Caller;
use crate::clock;
use crate::control::Control;
use crate::error::ControlError;
use crate::names::problem;
use crate::spend::zone;

/// What a report is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageBy {
    /// Sums of what has something in common.
    Group(UsageGroup),
    /// Sums of the days of the organization's time zone.
    Day,
}

/// What holds for all limits of an organization.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpendSettingsView {
    /// Where its days begin: a name of the IANA time zone database.
    pub time_zone: Option<String>,
    /// What models cost there, where it is not what the table says.
    pub model_prices: BTreeMap<String, ModelPrice>,
}

/// What of it is to change: what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct SpendSettingsChange {
    /// Where its days begin; `None` inside is UTC.
    pub time_zone: Option<Option<String>>,
    /// All prices that are not the table's.
    pub model_prices: Option<BTreeMap<String, ModelPrice>>,
}

impl SpendSettingsView {
    fn of(stored: SpendSettings) -> Result<Self, StoreError> {
        let prices = stored.model_prices.as_deref().map(serde_json::from_str);
        let prices = prices.transpose().map_err(|_| StoreError::Corrupt {
            column: "model_prices",
        })?;
        Ok(Self {
            time_zone: stored.time_zone,
            model_prices: prices.unwrap_or_default(),
        })
    }

    fn stored(&self) -> SpendSettings {
        let text = serde_json::to_string(&self.model_prices).expect("names and rates");
        SpendSettings {
            time_zone: self.time_zone.clone(),
            model_prices: (!self.model_prices.is_empty()).then_some(text),
        }
    }
}

impl Control {
    /// Records of usage, the newest first.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn usage_records(
        &self,
        caller: &Caller,
        filter: &UsageFilter,
        page: &PageRequest<UsageRecordId>,
    ) -> Result<Page<UsageRecord, UsageRecordId>, ControlError> {
        caller.require(Permission::UsageRead)?;
        let scope = self.store.scope(&caller.organization);
        Ok(scope.usage_records(filter, page).await?)
    }

    /// Sums of usage: those of the highest cost first, or day after day.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`] if it would have too many days, and what every use case may answer.
    pub async fn usage(
        &self,
        caller: &Caller,
        by: UsageBy,
        filter: &UsageFilter,
    ) -> Result<Vec<UsageSum>, ControlError> {
        caller.require(Permission::UsageRead)?;
        match by {
            UsageBy::Group(group) => {
                let scope = self.store.scope(&caller.organization);
                Ok(scope.usage_sums(group, filter, USAGE_ROWS).await?)
            }
            UsageBy::Day => self.usage_by_day(caller, filter).await,
        }
    }

    async fn usage_by_day(
        &self,
        caller: &Caller,
        filter: &UsageFilter,
    ) -> Result<Vec<UsageSum>, ControlError> {
        let scope = self.store.scope(&caller.organization);
        let zone = zone(scope.spend_settings().await?.time_zone.as_deref());
        let days = days(filter, &zone)?;
        let mut sums = Vec::new();
        for (name, from, until) in days {
            let day = UsageFilter {
                from,
                until,
                ..filter.clone()
            };
            if let Some(sum) = scope.usage_total(&day).await? {
                sums.push(UsageSum {
                    of: Some(name),
                    ..sum
                });
            }
        }
        Ok(sums)
    }

    /// Where the organization's days begin, and what models cost there.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn spend_settings(&self, caller: &Caller) -> Result<SpendSettingsView, ControlError> {
        caller.require(Permission::LimitRead)?;
        let scope = self.store.scope(&caller.organization);
        Ok(SpendSettingsView::of(scope.spend_settings().await?)?)
    }

    /// Changes where the organization's days begin, and what models cost there. What was spent keeps its cost.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`], and what every use case may answer.
    pub async fn change_spend_settings(
        &self,
        caller: &Caller,
        request: SpendSettingsChange,
    ) -> Result<SpendSettingsView, ControlError> {
        caller.require(Permission::LimitAdmin)?;
        check(&request)?;
        let mut change = self.change(caller, clock::now()).await?;
        let before = SpendSettingsView::of(change.spend_settings().await?)?;
        let after = SpendSettingsView {
            time_zone: request.time_zone.unwrap_or(before.time_zone.clone()),
            model_prices: request.model_prices.unwrap_or(before.model_prices.clone()),
        };
        if after == before {
            change.undo().await?;
            return Ok(before);
        }
        change.set_spend_settings(&after.stored()).await?;
        if after.time_zone != before.time_zone {
            self.count_all_anew(&mut change).await?;
        }
        let told = |view: &SpendSettingsView| json!({"time_zone": view.time_zone, "model_prices": view.model_prices});
        let organization = caller.organization.clone();
        let about = ("organization", organization.as_str());
        let (was, is) = (told(&before), told(&after));
        let event = caller.event("spend_settings.update", about, Some(&was), Some(&is));
        change.commit(&event).await?;
        self.ledger.limits_changed(&organization);
        Ok(after)
    }
}

/// The days of a report, each with its name and its moments.
fn days(
    filter: &UsageFilter,
    zone: &TimeZone,
) -> Result<Vec<(String, Timestamp, Timestamp)>, ControlError> {
    let mut days = Vec::new();
    let mut date = filter.from.to_zoned(zone.clone()).date();
    let last = filter.until.to_zoned(zone.clone()).date();
    let begin = |date: jiff::civil::Date| date.to_zoned(zone.clone()).map(|day| day.timestamp());
    while date <= last {
        if days.len() >= MOST_DAYS {
            let message = format!("a report by day has {MOST_DAYS} days at most");
            let help = "ask for a shorter time";
            return Err(problem("from", "too_long", &message, help));
        }
        let next = date.saturating_add(1.day());
        let (Ok(from), Ok(until)) = (begin(date), begin(next)) else {
            break;
        };
        let (from, until) = (from.max(filter.from), until.min(filter.until));
        if from < until {
            days.push((date.to_string(), from, until));
        }
        if next == date {
            break;
        }
        date = next;
    }
    Ok(days)
}

const MOST_DAYS: usize = 400;

fn check(request: &SpendSettingsChange) -> Result<(), ControlError> {
    if let Some(Some(name)) = &request.time_zone {
        let is_known = name.len() <= TIME_ZONE_CHARS && TimeZone::get(name).is_ok();
        if !is_known {
            let message = "is no name of a time zone that this server knows";
            let help = "write one of the IANA time zone database, such as Europe/Berlin";
            return Err(problem("time_zone", "unknown_time_zone", message, help));
        }
    }
    if let Some(prices) = &request.model_prices {
        if prices.len() > PRICED_MODELS {
            let message = format!("has more than {PRICED_MODELS} models");
            let help = "leave out those whose price is the table's";
            return Err(problem("model_prices", "too_many", &message, help));
        }
        let text = serde_json::to_string(prices).unwrap_or_default();
        if let Err(error) = bailiwick_llm::Overrides::parse(&text) {
            let help = "write the price of a million tokens in dollars: {\"input\": \"3\", \"output\": \"15\"}";
            return Err(problem(
                "model_prices",
                "invalid_price",
                &error.to_string(),
                help,
            ));
        }
    }
    Ok(())
}
