//! Places at the engine of this server. What sets a session to work takes one along if there is one, and claims the session for that engine in the
//! same transaction: a turn waits for the disk once less, and nobody has to look for it.

use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_model::limits::SESSIONS_AT_WORK;
use bailiwick_store::SessionRun;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Places that are left to sessions which wait already, for all that others begin.
const LEFT_TO_WAITING: usize = SESSIONS_AT_WORK / 10;

/// Where places are to be had, while an engine is at work here.
#[derive(Debug, Default)]
pub(crate) struct EnginePlaces(Mutex<Option<Offer>>);

/// What an engine offers.
#[derive(Debug, Clone)]
struct Offer {
    holder: Arc<str>,
    free: Arc<Semaphore>,
    claimed: mpsc::UnboundedSender<Claimed>,
}

/// A session that is the engine's, with its place.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) run: SessionRun,
    pub(crate) place: OwnedSemaphorePermit,
}

/// A place that nobody has yet. It is free again if it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    offer: Offer,
    place: OwnedSemaphorePermit,
}

impl EnginePlaces {
    /// Begins to offer places of the engine `holder`. What is received is its own, and comes to an end after [`Self::close`], once nobody holds a
    /// place any more.
    pub(crate) fn open(
        &self,
        holder: &str,
        free: &Arc<Semaphore>,
    ) -> mpsc::UnboundedReceiver<Claimed> {
        let (claimed, receiver) = mpsc::unbounded_channel();
        self.set(Some(Offer {
            holder: holder.into(),
            free: Arc::clone(free),
            claimed,
        }));
        receiver
    }

    /// Offers none any more.
    pub(crate) fn close(&self) {
        self.set(None);
    }

    /// A place, if there is one.
    pub(crate) fn take(&self) -> Option<Place> {
        let offer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let offer = offer.as_ref()?;
        if offer.free.available_permits() <= LEFT_TO_WAITING {
            return None;
        }
        Some(Place {
            place: Arc::clone(&offer.free).try_acquire_owned().ok()?,
            offer: offer.clone(),
        })
    }

    fn set(&self, offer: Option<Offer>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = offer;
    }
}

impl Place {
    /// For whom a session has to be claimed.
    pub(crate) fn holder(&self) -> &str {
        &self.offer.holder
    }

    /// Gives it to a session, once it is stored that it was claimed.
    pub(crate) fn give(self, run: SessionRun) {
        let claimed = Claimed {
            run,
            place: self.place,
        };
        // An engine that is gone has it until its lease ends.
        let _ = self.offer.claimed.send(claimed);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::fresh;

    fn run(holder: &str) -> SessionRun {
        let at = Timestamp::UNIX_EPOCH;
        SessionRun {
            organization: fresh::id(at),
            session: fresh::id(at),
            holder: holder.to_owned(),
            number: 1,
            until: at,
        }
    }

    #[tokio::test]
    async fn a_place_is_had_until_the_run_is_over_and_none_after_the_end() {
        let places = EnginePlaces::default();
        assert!(places.take().is_none(), "no engine is at work");
        let free = Arc::new(Semaphore::new(LEFT_TO_WAITING + 2));
        let mut engine = places.open("one", &free);
        let (one, other) = (places.take().unwrap(), places.take().unwrap());
        assert!(places.take().is_none(), "the rest is for those who wait");
        assert_eq!(one.holder(), "one");
        drop(other);
        one.give(run("one"));
        let claimed = engine.recv().await.unwrap();
        let late = places.take().unwrap();
        drop(claimed);
        assert_eq!(free.available_permits(), LEFT_TO_WAITING + 1);
        places.close();
        assert!(places.take().is_none());
        // Whoever has a place already gives it still.
        late.give(run("one"));
        assert!(engine.recv().await.is_some());
        assert!(engine.recv().await.is_none());
    }
}
