//! What a server writes about itself, to standard error.

use anyhow::Context;
use bailiwick_telemetry::Telemetry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt};

use crate::host_environment::HostEnvironment;

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// How much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogLevel {
    /// Nothing.
    Off,
    /// What went wrong here.
    Error,
    /// What may go wrong soon, too.
    Warn,
    /// Every request, too.
    Info,
    /// Connections that ended early, too.
    Debug,
    /// Everything.
    Trace,
}

/// How a server logs.
#[derive(Debug, clap::Args)]
pub(crate) struct LogArguments {
    /// In which form to log.
    #[arg(long, value_enum, value_name = "FORM", default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// How much to log [default: $BAILIWICK_LOG, else `info`].
    #[arg(long, value_enum, value_name = "LEVEL")]
    log_level: Option<LogLevel>,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => Self::OFF,
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Begins to log; once in a process.
///
/// # Errors
///
/// If the variable holds no level.
pub(crate) fn start(
    arguments: &LogArguments,
    host: &HostEnvironment,
    telemetry: Option<&Telemetry>,
) -> anyhow::Result<()> {
    let level = LevelFilter::from(level(arguments.log_level, host.log_level.as_deref())?);
    // Of what is not Bailiwick's own, only what went wrong: the database's driver would tell every query.
    let wanted = Targets::new()
        .with_target("bailiwick", level)
        .with_default(level.min(LevelFilter::WARN));
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let lines = match arguments.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(telemetry.map(Telemetry::layer))
        .with(lines.with_filter(wanted))
        .try_init()
        .context("cannot begin to log")
}

fn level(named: Option<LogLevel>, variable: Option<&str>) -> anyhow::Result<LogLevel> {
    use clap::ValueEnum as _;
    let read = |text: &str| {
        let level = LogLevel::from_str(text, true);
        level
            .map_err(|_| anyhow::anyhow!("BAILIWICK_LOG is off, error, warn, info, debug or trace"))
    };
    match (named, variable) {
        (Some(level), _) => Ok(level),
        (None, Some(text)) => read(text),
        (None, None) => Ok(LogLevel::Info),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_stronger_than_the_variable() {
        assert_eq!(
            level(Some(LogLevel::Warn), Some("debug")).unwrap(),
            LogLevel::Warn
        );
        assert_eq!(level(None, Some("DEBUG")).unwrap(), LogLevel::Debug);
        assert_eq!(level(None, None).unwrap(), LogLevel::Info);
        assert!(level(None, Some("loud")).is_err());
    }
}
