//! What a session, or a thread of it, has used.

use jiff::Timestamp;

/// What was used, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionUsage {
    /// Tokens that a model read.
    pub input_tokens: i64,
    /// Tokens that a model wrote.
    pub output_tokens: i64,
    /// Tokens that came from its cache.
    pub cache_read_tokens: i64,
    /// Tokens that went into its cache for five minutes.
    pub cache_5m_tokens: i64,
    /// Tokens that went into its cache for an hour.
    pub cache_1h_tokens: i64,
    /// Searches of the web that the server made.
    pub web_searches: i64,
    /// Pages of the web that the server fetched.
    pub web_fetches: i64,
    /// What all that costs at list prices, in billionths of a dollar.
    pub list_cost_nanos: i64,
}

/// For how long somebody was at work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Activity {
    /// Until it last stopped, in microseconds.
    pub active_micros: i64,
    /// Since when it runs.
    pub running_since: Option<Timestamp>,
}

impl SessionUsage {
    /// Both together; what would not fit stays the most that does.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(more.input_tokens),
            output_tokens: self.output_tokens.saturating_add(more.output_tokens),
            cache_read_tokens: self
                .cache_read_tokens
                .saturating_add(more.cache_read_tokens),
            cache_5m_tokens: self.cache_5m_tokens.saturating_add(more.cache_5m_tokens),
            cache_1h_tokens: self.cache_1h_tokens.saturating_add(more.cache_1h_tokens),
            web_searches: self.web_searches.saturating_add(more.web_searches),
            web_fetches: self.web_fetches.saturating_add(more.web_fetches),
            list_cost_nanos: self.list_cost_nanos.saturating_add(more.list_cost_nanos),
        }
    }
}

impl Activity {
    /// As it is from this moment on, running or not.
    #[must_use]
    pub fn changed(self, runs: bool, at: Timestamp) -> Self {
        match (self.running_since, runs) {
            (None, true) => Self {
                running_since: Some(at),
                ..self
            },
            (Some(_), false) => Self {
                active_micros: self.micros_at(at),
                running_since: None,
            },
            (None, false) | (Some(_), true) => self,
        }
    }

    /// How long it was at work until this moment, in microseconds.
    pub fn micros_at(self, at: Timestamp) -> i64 {
        let runs = self.running_since.map_or(0, |since| {
            at.as_microsecond()
                .saturating_sub(since.as_microsecond())
                .max(0)
        });
        self.active_micros.saturating_add(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn time_counts_while_it_runs_and_not_while_it_waits() {
        let mut activity = Activity::default();
        for (runs, at) in [
            (true, 10),
            (true, 12),
            (false, 15),
            (false, 99),
            (true, 100),
        ] {
            activity = activity.changed(runs, second(at));
        }
        assert_eq!(activity.active_micros, 5_000_000);
        assert_eq!(activity.micros_at(second(101)), 6_000_000);
        // A clock that goes back takes nothing away.
        assert_eq!(activity.micros_at(second(1)), 5_000_000);
    }
}
