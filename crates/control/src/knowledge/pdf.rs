//! Who reads PDF documents, with a share for each organization.

use std::sync::Arc;

use bailiwick_knowledge::{BoxFuture, PdfError, PdfText, ReadPdf};
use bailiwick_model::OrganizationId;

use crate::shares::Shares;

/// Reads the documents of one organization, which waits for its share where that is taken.
pub(super) struct SharedPdf {
    pub(super) reads: Arc<dyn ReadPdf>,
    pub(super) places: Shares,
    pub(super) organization: OrganizationId,
}

impl ReadPdf for SharedPdf {
    fn read(&self, bytes: Vec<u8>) -> BoxFuture<'_, Result<PdfText, PdfError>> {
        Box::pin(async move {
            // Who waits is given up with its document, when that takes too long.
            let _place = self.places.wait(&self.organization).await;
            self.reads.read(bytes).await
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use bailiwick_model::ResourceId as _;
    use tokio::time::timeout;

    use super::*;

    /// Begins, and never ends.
    #[derive(Default)]
    struct Endless {
        begun: AtomicUsize,
    }

    impl ReadPdf for Endless {
        fn read(&self, _bytes: Vec<u8>) -> BoxFuture<'_, Result<PdfText, PdfError>> {
            self.begun.fetch_add(1, Ordering::SeqCst);
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test]
    async fn documents_of_one_organization_that_are_never_read_keep_no_other_waiting() {
        let endless = Arc::new(Endless::default());
        let places = Shares::new(2, 1);
        let of = |byte| SharedPdf {
            reads: Arc::clone(&endless) as Arc<dyn ReadPdf>,
            places: places.clone(),
            organization: OrganizationId::made(0, [byte; 10]),
        };
        let (greedy, other) = (of(1), of(2));
        let moment = Duration::from_millis(20);
        let many = async {
            tokio::join!(
                greedy.read(vec![]),
                greedy.read(vec![]),
                greedy.read(vec![])
            )
        };
        let both = async {
            tokio::time::sleep(moment).await;
            assert_eq!(endless.begun.load(Ordering::SeqCst), 1, "its share");
            let _ = timeout(moment, other.read(vec![])).await;
            assert_eq!(endless.begun.load(Ordering::SeqCst), 2);
        };
        tokio::select! {
            _ = many => unreachable!("they never end"),
            () = both => {}
        }
    }
}
