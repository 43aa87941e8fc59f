//! How things are printed: formats, colour, and texts that came from somewhere else.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use serde::Serialize;

use crate::bad_input::BadInput;
use crate::host_environment::HostEnvironment;
use crate::images::Told;

/// Columns to which explanations of errors are wrapped.
const DIAGNOSTIC_WIDTH: usize = 100;

/// In which form a command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs: one JSON document.
    Json,
}

/// Whether a stream gets colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// It is a terminal, and nobody asked for none.
    On,
    /// It is not, or somebody did (`NO_COLOR`).
    Off,
}

/// What a colour means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Allowed, added, found.
    Good,
    /// Denied, removed, missing.
    Bad,
    /// Beside the point.
    Quiet,
    /// A heading.
    Strong,
}

impl Colour {
    /// For standard output.
    pub(crate) fn of_stdout(host: &HostEnvironment) -> Self {
        Self::of(host, io::stdout().is_terminal())
    }

    /// For standard error.
    pub(crate) fn of_stderr(host: &HostEnvironment) -> Self {
        Self::of(host, io::stderr().is_terminal())
    }

    fn of(host: &HostEnvironment, terminal: bool) -> Self {
        if terminal && !host.no_color {
            Self::On
        } else {
            Self::Off
        }
    }

    /// `text` in the colour of `tone`.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Quiet => "2",
            Tone::Strong => "1",
        };
        match self {
            Self::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Off => text.to_owned(),
        }
    }
}

/// Writes to standard output. That the reader has gone away (`| head`) is no error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes a value to standard output as indented JSON.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(print(&format!(
        "{}\n",
        serde_json::to_string_pretty(value)?
    ))?)
}

/// Prints an error and what caused it to standard error; one with places in a file, with those.
pub(crate) fn print_error(error: &anyhow::Error, host: &HostEnvironment) {
    if error.is::<Told>() {
        return;
    }
    match error.downcast_ref::<BadInput>() {
        Some(BadInput::EnvironmentFile(errors)) => print_diagnostic(errors, host),
        Some(_) | None => {
            let label = Colour::of_stderr(host).paint(Tone::Bad, "error:");
            let text = whole(error);
            let lines: Vec<_> = text.lines().map(printable).collect();
            print_to_stderr(&format!("{label} {}\n", lines.join("\n")));
        }
    }
}

/// An error and its causes, but for those that what stands before has said already.
fn whole(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        if text.is_empty() {
            cause
        } else if text.contains(&cause) {
            text
        } else {
            format!("{text}: {cause}")
        }
    })
}

/// Prints something with places in a file to standard error.
pub(crate) fn print_diagnostic(diagnostic: &dyn Diagnostic, host: &HostEnvironment) {
    let theme = match Colour::of_stderr(host) {
        Colour::On => GraphicalTheme::unicode(),
        Colour::Off => GraphicalTheme::unicode_nocolor(),
    };
    let mut text = String::new();
    let rendered = GraphicalReportHandler::new_themed(theme)
        .with_width(DIAGNOSTIC_WIDTH)
        .render_report(&mut text, diagnostic);
    print_to_stderr(if rendered.is_ok() {
        &text
    } else {
        "error: the file is not valid\n"
    });
}

/// Writes to standard error. There is nowhere left to report a failure to.
pub(crate) fn print_to_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// A text that came from inside a sandbox or from a file, safe to print.
///
/// What a terminal would obey (escape sequences that set its title or the clipboard, carriage returns) and what would
/// reorder or hide text (bidirectional controls, invisible characters) is written as `\u{1b}`.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1;
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_plain(c) {
            safe.push(c);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(safe, "{}", c.escape_unicode());
        }
    }
    Cow::Owned(safe)
}

/// A number of bytes for people: `812 B`, `1.4 KiB`, `20 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let exponent = (count.ilog2() / 10) as usize;
    let value = count as f64 / 1024f64.powi(exponent as i32);
    let decimals = usize::from(value < 10.0);
    format!("{value:.decimals$} {}", UNITS[exponent - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(
            printable("\x1b]52;c;ZXZpbA==\x07"),
            r"\u{1b}]52;c;ZXZpbA==\u{7}"
        );
        assert_eq!(printable("\x1b]0;title\x1b\\"), r"\u{1b}]0;title\u{1b}\");
        assert_eq!(printable("a\rb\nc\u{9b}31m"), r"a\u{d}b\u{a}c\u{9b}31m");
        assert_eq!(printable("moc.elpmaxe\u{202e}"), r"moc.elpmaxe\u{202e}");
        assert_eq!(printable("bücher.example \"x\""), "bücher.example \"x\"");
    }

    #[test]
    fn bytes_are_short() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1434, "1.4 KiB"),
            (20 << 20, "20 MiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
