//! What is done also if nobody waits for it any more: a client may go away at every moment.

use std::future::Future;

/// Does it, and waits.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The process is ending, and who waits with it.
        Err(_) => std::future::pending().await,
    }
}
