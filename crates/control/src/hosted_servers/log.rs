//! What a server printed: its last lines, within bounds.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bailiwick_model::SecretText;
use bailiwick_model::limits::{
    HOSTED_LOG_BYTES, HOSTED_LOG_LINE_BYTES, HOSTED_LOG_PAUSE, HOSTED_LOG_READ_BYTES,
    HOSTED_LOG_TOLD,
};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::sleep;

/// What stands where a secret was.
const HIDDEN: &str = "[redacted]";

/// The log of a server, over all its starts.
#[derive(Default)]
pub(super) struct ServerLog(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    lines: VecDeque<String>,
    bytes: usize,
    /// What is not shown.
    secrets: Vec<SecretText>,
}

impl ServerLog {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does not show these any more.
    pub(super) fn hide(&self, secrets: impl IntoIterator<Item = SecretText>) {
        let mut lines = self.lines();
        for secret in secrets {
            let is_known = lines
                .secrets
                .iter()
                .any(|known| known.reveal() == secret.reveal());
            if !is_known && !secret.reveal().is_empty() {
                lines.secrets.push(secret);
            }
        }
    }

    /// A line of the server's.
    pub(super) fn printed(&self, line: &[u8]) {
        let cut = &line[..line.len().min(HOSTED_LOG_LINE_BYTES)];
        let line = String::from_utf8_lossy(cut);
        // What a terminal would do something else with than show it is not passed on to one.
        let shown = |character: char| !character.is_control() || character == '\t';
        self.lines()
            .push(line.chars().filter(|it| shown(*it)).collect());
    }

    /// What there is to say about it here.
    pub(super) fn note(&self, text: &str) {
        self.lines().push(format!("[{text}]"));
    }

    /// The lines, the oldest first.
    pub(super) fn all(&self) -> Vec<String> {
        self.lines().lines.iter().cloned().collect()
    }

    /// The last lines that the server printed, as a part of a sentence; empty if it printed nothing.
    pub(super) fn last(&self) -> String {
        let lines = self.lines();
        let last = lines.lines.iter().rev().take(HOSTED_LOG_TOLD);
        let last: Vec<_> = last.map(String::as_str).collect();
        last.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }

    /// Reads what is printed to its end. Who prints without end waits for this.
    pub(super) async fn read(&self, mut from: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; HOSTED_LOG_READ_BYTES];
        let mut line = Vec::new();
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            for byte in &buffer[..read] {
                if *byte == b'\n' {
                    self.printed(&line);
                    line.clear();
                } else if line.len() < HOSTED_LOG_LINE_BYTES {
                    line.push(*byte);
                }
            }
            sleep(HOSTED_LOG_PAUSE).await;
        }
        if !line.is_empty() {
            self.printed(&line);
        }
    }
}

impl Lines {
    fn push(&mut self, mut line: String) {
        for secret in &self.secrets {
            if line.contains(secret.reveal()) {
                line = line.replace(secret.reveal(), HIDDEN);
            }
        }
        // A line costs something itself.
        self.bytes += line.len() + size_of::<String>();
        self.lines.push_back(line);
        while self.bytes > HOSTED_LOG_BYTES {
            let Some(oldest) = self.lines.pop_front() else {
                return;
            };
            self.bytes -= oldest.len() + size_of::<String>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_lines_are_kept_and_no_secret_is_in_them() {
        let log = ServerLog::default();
        log.hide([SecretText::new("sesame".to_owned())]);
        let printed = b"\x1b[31mred\x1b[0m\r\nthe key is sesame\nno end".to_vec();
        log.read(&*printed).await;
        log.note("the program has ended");
        let expect = [
            "[31mred[0m",
            "the key is [redacted]",
            "no end",
            "[the program has ended]",
        ];
        assert_eq!(log.all(), expect);
        assert_eq!(log.last(), expect.join(" / "));
    }

    #[tokio::test]
    async fn what_is_printed_without_end_takes_no_more_room() {
        let log = ServerLog::default();
        let endless = vec![b'x'; HOSTED_LOG_BYTES * 2];
        log.read(&*endless).await;
        assert_eq!(log.all().len(), 1);
        for _ in 0..2 {
            log.read(&*b"line\n".repeat(HOSTED_LOG_BYTES / 5)).await;
            log.read(&*b"\n".repeat(HOSTED_LOG_BYTES / 5)).await;
        }
        let kept = log.all();
        let bytes: usize = kept.iter().map(|it| it.len() + size_of::<String>()).sum();
        assert!(bytes <= HOSTED_LOG_BYTES, "{bytes}");
    }
}
