//! Memory for documents that were brought here and wait until they are taken.

use std::sync::Arc;

use bailiwick_model::limits::{KNOWLEDGE_WAITING_BYTES, KNOWLEDGE_WAITING_BYTES_OF_SYNC};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What there is of it for all syncs of a process, of which one has at most [`KNOWLEDGE_WAITING_BYTES_OF_SYNC`].
#[derive(Debug, Clone)]
pub struct Room {
    all: Arc<Semaphore>,
}

/// What there is of it for one sync.
#[derive(Debug)]
pub(crate) struct RoomOfSync {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
}

/// What one document takes, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(KNOWLEDGE_WAITING_BYTES)),
        }
    }
}

impl Room {
    pub(crate) fn of_sync(&self) -> RoomOfSync {
        RoomOfSync {
            all: Arc::clone(&self.all),
            own: Arc::new(Semaphore::new(KNOWLEDGE_WAITING_BYTES_OF_SYNC)),
        }
    }
}

impl RoomOfSync {
    /// Waits until there is room for so many bytes. Who has room needs no more of it to go on, so it becomes free again.
    pub(crate) async fn wait(&self, bytes: usize) -> Place {
        const OPEN: &str = "nobody closes it";
        let bytes = bytes.min(KNOWLEDGE_WAITING_BYTES_OF_SYNC);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let own = Arc::clone(&self.own).acquire_many_owned(bytes);
        let own = own.await.expect(OPEN);
        let all = Arc::clone(&self.all).acquire_many_owned(bytes);
        Place {
            _all: all.await.expect(OPEN),
            _own: own,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sync_has_its_share_of_the_room_and_all_have_no_more_than_there_is() {
        let has_room = async |room: &RoomOfSync, bytes| {
            let waiting = timeout(Duration::from_secs(1), room.wait(bytes));
            waiting.await.ok()
        };
        let room = Room::default();
        let first = room.of_sync();
        let whole = has_room(&first, KNOWLEDGE_WAITING_BYTES_OF_SYNC).await;
        assert!(whole.is_some());
        assert!(has_room(&first, 1).await.is_none(), "its share");
        let mut others = Vec::new();
        let most = KNOWLEDGE_WAITING_BYTES / KNOWLEDGE_WAITING_BYTES_OF_SYNC;
        for _ in 1..most {
            let place = has_room(&room.of_sync(), KNOWLEDGE_WAITING_BYTES_OF_SYNC).await;
            others.push(place.expect("room for another sync"));
        }
        assert!(has_room(&room.of_sync(), 1).await.is_none(), "all of it");
        drop(whole);
        // What is larger than a share is as large as that.
        assert!(has_room(&first, usize::MAX).await.is_some());
    }
}
