//! Something of which there is so much in one process, and less for one organization: nobody takes it all from the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_model::OrganizationId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What there is of it.
#[derive(Debug, Clone)]
pub(crate) struct Shares {
    all: Arc<Semaphore>,
    most_of_one: usize,
    own: Arc<Mutex<BTreeMap<OrganizationId, Arc<Semaphore>>>>,
}

/// Somebody's, as long as it is there.
#[derive(Debug)]
pub(crate) struct Share {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Shares {
    /// So many in all, and so many of one organization.
    pub(crate) fn new(all: usize, most_of_one: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            most_of_one,
            own: Arc::default(),
        }
    }

    /// Waits for one. Who waits for others of its organization is in nobody else's way.
    pub(crate) async fn wait(&self, organization: &OrganizationId) -> Share {
        const OPEN: &str = "nobody closes it";
        Share {
            _own: self.own(organization).acquire_owned().await.expect(OPEN),
            _all: Arc::clone(&self.all).acquire_owned().await.expect(OPEN),
        }
    }

    /// One, if there is one now.
    pub(crate) fn take(&self, organization: &OrganizationId) -> Option<Share> {
        Some(Share {
            _own: self.own(organization).try_acquire_owned().ok()?,
            _all: Arc::clone(&self.all).try_acquire_owned().ok()?,
        })
    }

    fn own(&self, organization: &OrganizationId) -> Arc<Semaphore> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        // Those who have none now.
        own.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        let semaphore = own
            .entry(organization.clone())
            .or_insert_with(|| Arc::new(Semaphore::new(self.most_of_one)));
        Arc::clone(semaphore)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bailiwick_model::ResourceId as _;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn few_have_one_at_once_and_fewer_of_one_organization() {
        let organizations = [1, 2, 3].map(|byte| OrganizationId::made(0, [byte; 10]));
        let [one, two, three] = &organizations;
        let shares = Shares::new(4, 2);
        let is_let = async |organization: &OrganizationId| {
            let share = timeout(Duration::from_millis(20), shares.wait(organization));
            share.await.ok()
        };
        let first = is_let(one).await;
        let second = is_let(one).await;
        assert!(first.is_some() && second.is_some());
        assert!(is_let(one).await.is_none(), "its share");
        assert!(shares.take(one).is_none(), "its share");
        let others = [is_let(two).await, shares.take(two)];
        assert!(others.iter().all(Option::is_some));
        assert!(is_let(three).await.is_none(), "all that there are");
        assert!(shares.take(three).is_none(), "all that there are");
        drop(first);
        let third = is_let(three).await;
        assert!(third.is_some());
        assert!(is_let(one).await.is_none(), "all that there are, again");
        drop((second, third, others));
        assert!(shares.take(one).is_some());
        assert_eq!(shares.own.lock().unwrap().len(), 1, "nobody else is known");
    }
}
