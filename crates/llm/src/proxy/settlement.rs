//! What came of a request, told once.

use std::fmt;

use crate::Usage;

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// What it took, as far as `kind` says; nothing if it is [`SettledAs::Nothing`] or [`SettledAs::Unknown`].
    pub usage: Usage,
    /// Who says so.
    pub kind: SettledAs,
    /// Which of the routes was asked last; none where none was.
    pub upstream_index: Option<usize>,
    /// How often an upstream was asked.
    pub attempts: u32,
    /// The status of the answer that passed; none where there was none.
    pub status: Option<u16>,
}

/// Who says what a request took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettledAs {
    /// The provider.
    Told,
    /// Nobody: the answer was cut off. It is what was told so far, and at least what was streamed.
    Streamed,
    /// There was nothing to pay: no upstream was reached, or it answered with an error, or the endpoint costs nothing.
    Nothing,
    /// Nobody: it was sent, and what was answered does not say. The worst case is what to count.
    Unknown,
}

/// Told of a settlement. It must not block.
pub(super) type Settle = Box<dyn FnOnce(Settlement) + Send>;

/// Tells once: when it is known, else when it is dropped.
pub(super) struct Settling {
    settle: Option<Settle>,
    pub(super) told: Settlement,
    costs: bool,
}

impl Settling {
    pub(super) fn new(settle: Settle, costs: bool) -> Self {
        Self {
            settle: Some(settle),
            told: Settlement {
                usage: Usage::default(),
                kind: SettledAs::Nothing,
                upstream_index: None,
                attempts: 0,
                status: None,
            },
            costs,
        }
    }

    /// An upstream is going to be asked: from here on it may work.
    pub(super) fn is_asking(&mut self, index: usize) {
        self.told.upstream_index = Some(index);
        self.told.attempts += 1;
        self.is(SettledAs::Unknown, Usage::default());
    }

    /// What is told unless something else becomes known.
    pub(super) fn is(&mut self, kind: SettledAs, usage: Usage) {
        if self.costs {
            (self.told.kind, self.told.usage) = (kind, usage);
        }
    }

    /// Tells, if that was not done.
    pub(super) fn tell(&mut self) {
        if let Some(settle) = self.settle.take() {
            settle(self.told);
        }
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        self.tell();
    }
}

impl fmt::Debug for Settling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.told.fmt(f)
    }
}
