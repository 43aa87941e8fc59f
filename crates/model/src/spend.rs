//! What may be spent, by whom, in which time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{AgentId, ApiKeyId, EnvironmentId, LlmProxyId, TeamId, UserId};

/// Whose spending a limit holds down.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(
    tag = "type",
    content = "id",
    rename_all = "snake_case",
    deny_unknown_fields
)]
pub enum LimitEntity {
    /// All that the organization spends.
    Organization,
    /// What the members of a team spend together.
    Team(TeamId),
    /// What one user spends.
    User(UserId),
    /// What each user spends by themselves, unless a limit is for them alone.
    EachUser,
    /// What one agent spends.
    Agent(AgentId),
    /// What goes through one proxy.
    LlmProxy(LlmProxyId),
    /// What is spent with one virtual key.
    VirtualKey(ApiKeyId),
    /// What is spent in one environment.
    Environment(EnvironmentId),
}

impl LimitEntity {
    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Team(_) => "team",
            Self::User(_) => "user",
            Self::EachUser => "each_user",
            Self::Agent(_) => "agent",
            Self::LlmProxy(_) => "llm_proxy",
            Self::VirtualKey(_) => "virtual_key",
            Self::Environment(_) => "environment",
        }
    }

    /// Which one, if it is one of several.
    pub fn id(&self) -> Option<&str> {
        use crate::ResourceId as _;
        match self {
            Self::Organization | Self::EachUser => None,
            Self::Team(id) => Some(id.as_str()),
            Self::User(id) => Some(id.as_str()),
            Self::Agent(id) => Some(id.as_str()),
            Self::LlmProxy(id) => Some(id.as_str()),
            Self::VirtualKey(id) => Some(id.as_str()),
            Self::Environment(id) => Some(id.as_str()),
        }
    }
}

/// How much may be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitAmount {
    /// Money, in billionths of a dollar.
    CostNanos(i64),
    /// Tokens, of input and output, cached ones too.
    Tokens(i64),
}

impl LimitAmount {
    /// The number, in its unit.
    pub fn number(self) -> i64 {
        match self {
            Self::CostNanos(number) | Self::Tokens(number) => number,
        }
    }
}

/// What happens where a limit would be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// Nothing is asked that could exceed it.
    Hard,
    /// It is counted, and shown.
    Soft,
}

/// In which time an amount may be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum LimitWindow {
    /// In any time so long.
    Rolling(RollingWindow),
    /// In each of these, in the organization's time zone.
    Calendar(CalendarWindow),
}

/// A window that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RollingWindow {
    /// An hour.
    Hour,
    /// Twelve hours.
    HalfDay,
    /// 24 hours.
    Day,
    /// Seven days of 24 hours.
    Week,
    /// Thirty days of 24 hours.
    Month,
}

/// A window of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CalendarWindow {
    /// From midnight to midnight.
    Day,
    /// Seven days from a Sunday.
    WeekFromSunday,
    /// Seven days from a Monday.
    WeekFromMonday,
    /// From the first of a month.
    Month,
}

/// A word that is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a window of a limit")]
pub struct UnknownWindow(pub String);

impl RollingWindow {
    /// How long it is.
    pub fn length(self) -> Duration {
        const HOUR: u64 = 60 * 60;
        Duration::from_secs(match self {
            Self::Hour => HOUR,
            Self::HalfDay => 12 * HOUR,
            Self::Day => 24 * HOUR,
            Self::Week => 7 * 24 * HOUR,
            Self::Month => 30 * 24 * HOUR,
        })
    }
}

impl LimitWindow {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Rolling(RollingWindow::Hour),
        Self::Rolling(RollingWindow::HalfDay),
        Self::Rolling(RollingWindow::Day),
        Self::Rolling(RollingWindow::Week),
        Self::Rolling(RollingWindow::Month),
        Self::Calendar(CalendarWindow::Day),
        Self::Calendar(CalendarWindow::WeekFromSunday),
        Self::Calendar(CalendarWindow::WeekFromMonday),
        Self::Calendar(CalendarWindow::Month),
    ];

    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rolling(RollingWindow::Hour) => "1h",
            Self::Rolling(RollingWindow::HalfDay) => "12h",
            Self::Rolling(RollingWindow::Day) => "24h",
            Self::Rolling(RollingWindow::Week) => "7d",
            Self::Rolling(RollingWindow::Month) => "30d",
            Self::Calendar(CalendarWindow::Day) => "day",
            Self::Calendar(CalendarWindow::WeekFromSunday) => "week_from_sunday",
            Self::Calendar(CalendarWindow::WeekFromMonday) => "week_from_monday",
            Self::Calendar(CalendarWindow::Month) => "month",
        }
    }
}

impl FromStr for LimitWindow {
    type Err = UnknownWindow;

    fn from_str(text: &str) -> Result<Self, UnknownWindow> {
        let found = Self::ALL.into_iter().find(|known| known.as_str() == text);
        found.ok_or_else(|| UnknownWindow(text.to_owned()))
    }
}

impl TryFrom<String> for LimitWindow {
    type Error = UnknownWindow;

    fn try_from(text: String) -> Result<Self, UnknownWindow> {
        text.parse()
    }
}

impl From<LimitWindow> for &'static str {
    fn from(window: LimitWindow) -> Self {
        window.as_str()
    }
}

impl fmt::Display for LimitWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How it is known what a request took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageKind {
    /// The provider said it.
    Told,
    /// It was cut off: counted from what had been streamed.
    Streamed,
    /// Nobody knows; it is counted as what it could have taken at most.
    Unknown,
    /// The server ended while it was answered; it is counted as what it could have taken at most.
    Expired,
}

/// A word that is no kind of usage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a kind of usage")]
pub struct UnknownUsageKind(pub String);

impl UsageKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Told, Self::Streamed, Self::Unknown, Self::Expired];

    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Told => "told",
            Self::Streamed => "streamed",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
        }
    }
}

impl FromStr for UsageKind {
    type Err = UnknownUsageKind;

    fn from_str(text: &str) -> Result<Self, UnknownUsageKind> {
        let found = Self::ALL.into_iter().find(|known| known.as_str() == text);
        found.ok_or_else(|| UnknownUsageKind(text.to_owned()))
    }
}
