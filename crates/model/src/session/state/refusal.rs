//! Why something cannot happen to a session now.

/// Why something cannot happen to a session now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionRefusal {
    /// It has ended, or that thread of it has.
    #[error("it has ended")]
    Ended,
    /// It has no such thread.
    #[error("the session has no such thread")]
    NoSuchThread,
    /// It has that thread already.
    #[error("the session has this thread already")]
    ThreadExists,
    /// The thread does nothing that could stop.
    #[error("the thread is not at work")]
    NotAtWork,
    /// The thread is at work.
    #[error("the thread is at work")]
    AtWork,
    /// The primary thread ends with its session.
    #[error("the primary thread ends with its session")]
    IsPrimary,
    /// Whoever wants to rest has not taken up what was said.
    #[error("there is input that was not taken up")]
    InputWaits,
    /// Less was said than is taken up.
    #[error("there is no input to take up")]
    NothingQueued,
    /// All that was to be waited for is there already.
    #[error("there is nothing to wait for")]
    NothingAwaited,
}
