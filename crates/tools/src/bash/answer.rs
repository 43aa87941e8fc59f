//! What the model is told of a command that was run.

use std::path::PathBuf;
use std::time::Duration;

use bailiwick_model::limits;
use bailiwick_runtime::ExitStatus;

use super::shell::{End, How, Ran, Why};
use super::{Bash, Output};
use crate::random;
use crate::result::{NO_OUTPUT, ToolResult, fits, last_chars, printable};

pub(super) const RESTARTED: &str = "bash session restarted";
pub(super) const NOT_BEGUN: &str = "interrupted before it began; nothing was run";
pub(super) const NO_BASH: &str =
    "the sandbox has no /bin/bash: add the package to the environment's image";
pub(super) const SILENT: &str = "a shell was started and did not answer; nothing was run. Free memory, processes or disk space, or try again";

/// What bash says of a terminal that it does not have, when a program was ended by a signal.
const NO_TERMINAL: &str = "tcsetattr: Inappropriate ioctl for device";

/// The answer. `replaced` is whether the shell was not that of the command before, `keeps` whether its state outlives it.
pub(super) async fn of(
    bash: &Bash,
    ran: Ran,
    limit: Duration,
    replaced: bool,
    keeps: bool,
) -> ToolResult {
    let mut notes = Vec::new();
    if replaced {
        notes
            .push("[the shell had ended since the last command; this ran in a new one]".to_owned());
    }
    let mut shown = Vec::new();
    if ran.before.total > 0 {
        let (text, note) = bounded(bash, &ran.before, "background jobs printed").await;
        shown.push(format!(
            "[printed by background jobs since the last command]\n{text}\n[printed by this command]"
        ));
        notes.extend(note);
    }
    let (mut text, note) = bounded(bash, &ran.output, "the command printed").await;
    notes.extend(note);
    if matches!(ran.end, End::ShellEnded(ExitStatus::Exited(_))) {
        text = without_farewell(text);
    }
    if text.is_empty() && !shown.is_empty() {
        NO_OUTPUT.clone_into(&mut text);
    }
    shown.push(text);
    notes.extend(end(&ran.end, limit, keeps));
    let mut result = ToolResult::text(shown.join("\n")).and(notes.join("\n"));
    result.is_error = ran.end != End::Status(0);
    result
}

/// What is shown of an output, and where the rest is.
async fn bounded(bash: &Bash, output: &Output, whose: &str) -> (String, Option<String>) {
    let text = cleaned(&output.kept);
    let is_whole = output.total == output.kept.len() as u64;
    if is_whole && fits(&text) {
        return (text, None);
    }
    let file = bash.outputs.join(format!("output-{:016x}.txt", random()));
    let written = bash.inside.write(&file, output.kept.clone(), 0o600).await;
    let (tail, rest) = match written {
        Ok(()) => (
            last_chars(&text, limits::TOOL_PREVIEW_CHARS),
            where_it_is(&file, output, is_whole),
        ),
        Err(_) => (
            last_bytes(&text, limits::TOOL_OUTPUT_TAIL_BYTES),
            "the rest could not be written to a file and is lost".to_owned(),
        ),
    };
    let note = format!(
        "[{whose} {} bytes; this is the end of it; {rest}]",
        output.total
    );
    (format!("[output truncated]\n{tail}"), Some(note))
}

fn where_it_is(file: &std::path::Path, output: &Output, is_whole: bool) -> String {
    let file = file.display();
    if is_whole {
        format!("all of it is in {file}, for `read` with a view_range, or `grep`")
    } else {
        let kept = output.kept.len();
        format!("the last {kept} bytes are in {file}, for `read` with a view_range, or `grep`")
    }
}

fn last_bytes(text: &str, count: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(count))..]
}

/// As text, without the line feeds at the end and what bash says of its missing terminal.
fn cleaned(bytes: &[u8]) -> String {
    let text = printable(bytes);
    let text = if text.contains(NO_TERMINAL) {
        let lines = text.split_inclusive('\n');
        lines.filter(|line| !is_of_the_terminal(line)).collect()
    } else {
        text
    };
    text.trim_end_matches('\n').to_owned()
}

/// `bash: [PID: LEVEL (255)] tcsetattr: …`
fn is_of_the_terminal(line: &str) -> bool {
    let line = line.trim_end();
    let numbers = line
        .strip_suffix(NO_TERMINAL)
        .and_then(|line| line.trim_end().strip_suffix(']'))
        .and_then(|line| line.split_once(": ["));
    numbers.is_some_and(|(program, numbers)| {
        program.ends_with("bash")
            && numbers
                .chars()
                .all(|c| c.is_ascii_digit() || matches!(c, ':' | ' ' | '(' | ')'))
    })
}

/// An interactive shell says `exit` when it is told to.
fn without_farewell(text: String) -> String {
    match text.strip_suffix("exit") {
        Some(rest) if rest.is_empty() || rest.ends_with('\n') => {
            rest.trim_end_matches('\n').to_owned()
        }
        Some(_) | None => text,
    }
}

/// What there is to say of how a command ended.
fn end(end: &End, limit: Duration, keeps: bool) -> Option<String> {
    match end {
        End::Status(0) => None,
        End::Status(status) => Some(format!("[exit status {status}{}]", signal(*status))),
        End::Interrupted(why, How::Signal) => {
            Some(format!("[{}; the shell goes on]", reason(*why, limit)))
        }
        End::Interrupted(why, How::Kill) => Some(format!(
            "[{}; it did not end by SIGINT, so that what it had started was killed; the shell goes on]",
            reason(*why, limit)
        )),
        End::ShellKilled(why, directory) => Some(format!(
            "[{}; it did not end by SIGINT, so that it was killed with its shell: variables, functions and background jobs are gone. \
             The next command has a new shell{}]",
            reason(*why, limit),
            in_directory(directory.as_ref())
        )),
        End::ShellEnded(status) => Some(format!(
            "[the shell ended with status {}{}: `exit`, `exec` or `set -e`. The next command has a new one, {}]",
            status.code(),
            signal(status.code()),
            if keeps {
                "with the same directory, variables, functions and options"
            } else {
                "without the variables and functions of this one"
            }
        )),
        End::ShellBroken => Some(
            "[the shell did not take the command: it, or what it needs, was redefined or ended. It was killed, and the next command \
             has a new one, without its variables and functions. Run this command again if it printed nothing]"
                .to_owned(),
        ),
    }
}

fn in_directory(directory: Option<&PathBuf>) -> String {
    directory.map_or_else(String::new, |directory| {
        format!(", in {}", printable(directory.to_string_lossy().as_bytes()))
    })
}

fn reason(why: Why, limit: Duration) -> String {
    match why {
        Why::Timeout => format!(
            "the command was interrupted after {} ms; timeout_ms asks for more time, up to {}",
            limit.as_millis(),
            limits::TOOL_COMMAND_TIME_MOST.as_millis()
        ),
        Why::Cancelled => "the command was interrupted by the user".to_owned(),
    }
}

/// The signal that a status stands for, as shells have it.
fn signal(status: u8) -> &'static str {
    match status {
        130 => ", SIGINT",
        131 => ", SIGQUIT",
        134 => ", SIGABRT",
        135 => ", SIGBUS",
        136 => ", SIGFPE",
        137 => ", SIGKILL",
        139 => ", SIGSEGV",
        141 => ", SIGPIPE",
        143 => ", SIGTERM",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bash_says_of_its_terminal_is_left_out() {
        let said = b"a\nbash: [7112: 1 (255)] tcsetattr: Inappropriate ioctl for device\nb\n\n";
        assert_eq!(cleaned(said), "a\nb");
        let others = "x: tcsetattr: Inappropriate ioctl for device";
        assert_eq!(cleaned(others.as_bytes()), others);
    }

    #[test]
    fn the_farewell_of_a_shell_is_left_out() {
        let farewell = |text: &str| without_farewell(text.to_owned());
        assert_eq!(farewell("exit"), "");
        assert_eq!(farewell("a\nexit"), "a");
        assert_eq!(farewell("no exit"), "no exit");
    }
}
