//! What a shell and its commands print: read all the time, so that nothing inside ever waits for a reader, and kept up to a bound.
//!
//! Whoever holds the other end decides how long a pipe lasts, so that reading ends with the shell and not with the pipe.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bailiwick_model::limits;
use bailiwick_runtime::ByteSource;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::LiveOutput;

/// As much as a pipe of Linux holds.
const PIECE_BYTES: usize = 64 * 1024;

/// The shortest that a timer takes.
const TURN: Duration = Duration::from_millis(1);

/// The output of a command, or its end.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    /// The last bytes of it, at most [`limits::TOOL_OUTPUT_KEPT_BYTES`].
    pub(crate) kept: Vec<u8>,
    /// How many there were.
    pub(crate) total: u64,
}

/// What was printed and nobody has taken yet. Dropping this closes both pipes, also while somebody inside holds their other ends.
pub(super) struct Printed {
    shared: Arc<Shared>,
    _reading: AbortOnDropHandle<()>,
}

/// What whoever reads the pipes and whoever takes what was printed share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    output: VecDeque<u8>,
    total: u64,
    /// The end of what the shell said itself.
    prompts: String,
    /// Nobody prints any more.
    closed: bool,
    live: Option<LiveOutput>,
}

impl Printed {
    /// Reads until everybody inside has closed both pipes, or this is dropped. Must be called inside a tokio runtime.
    pub(super) fn of(output: ByteSource, prompts: ByteSource) -> Self {
        let shared = Arc::new(Shared::default());
        let reader = Arc::clone(&shared);
        let reading = tokio::spawn(async move { reader.read(output, prompts).await });
        Self {
            shared,
            _reading: AbortOnDropHandle::new(reading),
        }
    }

    /// The output until now.
    pub(super) fn take(&self) -> Output {
        let mut state = self.shared.state();
        Output {
            kept: std::mem::take(&mut state.output).into(),
            total: std::mem::take(&mut state.total),
        }
    }

    /// Whom to show what is printed from now on.
    pub(super) fn show(&self, live: Option<LiveOutput>) {
        self.shared.state().live = live;
    }

    /// Waits until `find` finds something in what the shell said since it was last forgotten.
    pub(super) async fn said<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        loop {
            let changed = self.shared.changed.notified();
            if let Some(found) = find(&self.shared.state().prompts) {
                return found;
            }
            changed.await;
        }
    }

    /// Forgets what the shell said.
    pub(super) fn forget(&self) {
        self.shared.state().prompts.clear();
    }

    /// Waits until everybody has closed the pipes.
    pub(super) async fn closed(&self) {
        loop {
            let changed = self.shared.changed.notified();
            if self.shared.state().closed {
                return;
            }
            changed.await;
        }
    }
}

impl Shared {
    async fn read(&self, mut output: ByteSource, mut prompts: ByteSource) {
        let (mut piece, mut said) = (vec![0; PIECE_BYTES], vec![0; 4096]);
        let (mut output_open, mut prompts_open) = (true, true);
        while output_open || prompts_open {
            tokio::select! {
                biased;
                read = output.read(&mut piece), if output_open => match read {
                    Ok(1..) => self.take_output(&piece, read.unwrap_or_default()),
                    Ok(0) | Err(_) => output_open = false,
                },
                read = prompts.read(&mut said), if prompts_open => match read {
                    Ok(length @ 1..) => {
                        // What was printed before the shell said this comes first. That it is there is known once the reactor has
                        // looked after this moment, and a timer ends only after it has.
                        if output_open {
                            tokio::time::sleep(TURN).await;
                            output_open = self.drain(&mut output, &mut piece).await;
                        }
                        self.take_prompt(&said[..length]);
                    }
                    Ok(0) | Err(_) => prompts_open = false,
                },
            }
            self.changed.notify_waiters();
        }
        self.state().closed = true;
        self.changed.notify_waiters();
    }

    /// Reads what is there without waiting for more; whether there may be more later.
    async fn drain(&self, output: &mut ByteSource, piece: &mut [u8]) -> bool {
        // Not more than a pipe can hold, or somebody who prints without end would hold this up.
        let mut room = 16 * PIECE_BYTES;
        while room > 0 {
            match tokio::task::unconstrained(available(output.as_mut(), piece)).await {
                Some(0) => return false,
                Some(length) => {
                    self.take_output(piece, length);
                    room = room.saturating_sub(length);
                }
                None => break,
            }
        }
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_output(&self, piece: &[u8], length: usize) {
        let piece = piece.get(..length).unwrap_or_default();
        let live = {
            let mut state = self.state();
            state.total += piece.len() as u64;
            state.output.extend(piece);
            let excess = state
                .output
                .len()
                .saturating_sub(limits::TOOL_OUTPUT_KEPT_BYTES);
            state.output.drain(..excess);
            state.live.clone()
        };
        if let Some(live) = live {
            live(piece);
        }
    }

    fn take_prompt(&self, piece: &[u8]) {
        let mut state = self.state();
        state.prompts.push_str(&String::from_utf8_lossy(piece));
        let excess = state
            .prompts
            .len()
            .saturating_sub(limits::TOOL_PROMPT_BYTES);
        let cut = state.prompts.ceil_char_boundary(excess);
        state.prompts.drain(..cut);
    }
}

/// What can be read at once: `Some(0)` at the end, `None` if there is nothing yet.
async fn available(
    mut source: Pin<&mut (dyn AsyncRead + Send)>,
    piece: &mut [u8],
) -> Option<usize> {
    std::future::poll_fn(|context| {
        let mut buffer = ReadBuf::new(piece);
        Poll::Ready(match source.as_mut().poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) => Some(buffer.filled().len()),
            Poll::Ready(Err(_)) => Some(0),
            Poll::Pending => None,
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn output_comes_before_what_the_shell_says_after_it() {
        let (mut print, output) = duplex(8 * PIECE_BYTES);
        let (mut say, prompts) = duplex(100);
        let printed = Printed::of(Box::pin(output), Box::pin(prompts));
        let shown = Arc::new(Mutex::new(0));
        let counting = Arc::clone(&shown);
        printed.show(Some(Arc::new(move |piece: &[u8]| {
            *counting.lock().unwrap() += piece.len();
        })));
        print.write_all(&vec![b'x'; 300_000]).await.unwrap();
        say.write_all(b"end.").await.unwrap();
        printed
            .said(|said| said.contains("end.").then_some(()))
            .await;
        let output = printed.take();
        assert_eq!((output.total, output.kept.len()), (300_000, 300_000));
        assert_eq!(*shown.lock().unwrap(), 300_000);
        drop((print, say));
        printed.closed().await;
    }

    #[tokio::test]
    async fn what_is_held_open_inside_is_closed_with_the_shell() {
        let (mut print, output) = duplex(100);
        let (mut say, prompts) = duplex(100);
        let printed = Printed::of(Box::pin(output), Box::pin(prompts));
        print.write_all(&[b'x'; 1000]).await.unwrap();
        say.write_all(&[b'x'; 1000]).await.unwrap();
        drop(printed);
        // The other ends are here still, and nobody reads what they write.
        let refused = async |end: &mut tokio::io::DuplexStream| {
            while end.write_all(&[b'x'; 1000]).await.is_ok() {}
        };
        let both = async { tokio::join!(refused(&mut print), refused(&mut say)) };
        let both = tokio::time::timeout(Duration::from_secs(10), both).await;
        assert!(both.is_ok(), "a pipe is open");
    }

    #[tokio::test]
    async fn only_the_end_of_a_long_output_is_kept() {
        let (mut print, output) = duplex(PIECE_BYTES);
        let (say, prompts) = duplex(100);
        let printed = Printed::of(Box::pin(output), Box::pin(prompts));
        let total = limits::TOOL_OUTPUT_KEPT_BYTES + 10;
        let mut text = vec![b'a'; total];
        text[total - 1] = b'z';
        print.write_all(&text).await.unwrap();
        drop((print, say));
        printed.closed().await;
        let output = printed.take();
        assert_eq!(output.total, total as u64);
        assert_eq!(output.kept.len(), limits::TOOL_OUTPUT_KEPT_BYTES);
        assert_eq!(output.kept.last(), Some(&b'z'));
    }
}
