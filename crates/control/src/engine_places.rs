//! Places at the engine of this server. What sets a session to work takes one along if there is one, and claims the session for that engine in the
//! same transaction: a turn waits for the disk once less, and nobody has to look for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_model::limits::SESSIONS_AT_WORK;
use bailiwick_store::SessionRun;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Places that what is sent does not take, so that sessions which wait already get some.
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

/// While it is there, an engine offers places.
#[derive(Debug)]
#[must_use]
pub(crate) struct OpenPlaces<'p> {
    places: &'p EnginePlaces,
    holder: &'p str,
}

/// A session that is the engine's, with its place.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) run: SessionRun,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// A place that nobody has yet. It is free again if it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    offer: Offer,
    permit: OwnedSemaphorePermit,
}

impl EnginePlaces {
    /// Begins to offer places of the engine `holder`, until what is returned first is dropped. What is received is the engine's own, and comes to
    /// an end after that, once nobody holds a place any more.
    pub(crate) fn open<'p>(
        &'p self,
        holder: &'p str,
        free: &Arc<Semaphore>,
    ) -> (OpenPlaces<'p>, mpsc::UnboundedReceiver<Claimed>) {
        let (claimed, receiver) = mpsc::unbounded_channel();
        *self.offer() = Some(Offer {
            holder: holder.into(),
            free: Arc::clone(free),
            claimed,
        });
        let open = OpenPlaces {
            places: self,
            holder,
        };
        (open, receiver)
    }

    /// A place, if there is one.
    pub(crate) fn take(&self) -> Option<Place> {
        let offer = self.offer();
        let offer = offer.as_ref()?;
        if offer.claimed.is_closed() || offer.free.available_permits() <= LEFT_TO_WAITING {
            return None;
        }
        Some(Place {
            permit: Arc::clone(&offer.free).try_acquire_owned().ok()?,
            offer: offer.clone(),
        })
    }

    fn offer(&self) -> MutexGuard<'_, Option<Offer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenPlaces<'_> {
    fn drop(&mut self) {
        let mut offer = self.places.offer();
        offer.take_if(|offer| *offer.holder == *self.holder);
    }
}

impl Place {
    /// For whom a session has to be claimed.
    pub(crate) fn holder(&self) -> &str {
        &self.offer.holder
    }

    /// Gives it to a session, once it is stored that it was claimed. If the engine has gone meanwhile, nobody runs it: it comes back.
    #[must_use]
    pub(crate) fn give(self, run: SessionRun) -> Option<SessionRun> {
        let Self { offer, permit } = self;
        let sent = offer.claimed.send(Claimed { run, permit });
        sent.err()
            .map(|mpsc::error::SendError(refused)| refused.run)
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_store::{DatabaseUrl, PageRequest, Store};
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::control::Control;
    use crate::{Bootstrap, Caller, Credentials, fresh};

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
        let (open, mut engine) = places.open("one", &free);
        let (one, other) = (places.take().unwrap(), places.take().unwrap());
        assert!(places.take().is_none(), "the rest is for those who wait");
        assert_eq!(one.holder(), "one");
        drop(other);
        assert_eq!(one.give(run("one")), None);
        let claimed = engine.recv().await.unwrap();
        let late = places.take().unwrap();
        drop(claimed);
        assert_eq!(free.available_permits(), LEFT_TO_WAITING + 1);
        drop(open);
        assert!(places.take().is_none());
        // Whoever has a place already gives it still.
        assert_eq!(late.give(run("one")), None);
        assert!(engine.recv().await.is_some());
        assert!(engine.recv().await.is_none());
    }

    #[tokio::test]
    async fn an_engine_that_is_gone_gets_nothing() {
        let places = EnginePlaces::default();
        let free = Arc::new(Semaphore::new(SESSIONS_AT_WORK));
        let (open, engine) = places.open("one", &free);
        let place = places.take().unwrap();
        drop(engine);
        let refused = run("one");
        assert_eq!(place.give(refused.clone()), Some(refused));
        assert!(places.take().is_none());
        assert_eq!(free.available_permits(), SESSIONS_AT_WORK);
        // Of two engines the later one offers, also when the earlier one ends.
        let (later, _engine) = places.open("two", &free);
        drop(open);
        assert_eq!(places.take().unwrap().holder(), "two");
        drop(later);
        assert!(places.take().is_none());
    }

    /// An organization, and a session at rest.
    async fn at_rest(
        directory: &std::path::Path,
    ) -> (Arc<Control>, Caller, bailiwick_model::SessionId) {
        let url = DatabaseUrl::Sqlite(directory.join("bailiwick.db"));
        let store = Store::open(&url).await.unwrap();
        let control = Control::new(store, "01".repeat(32).parse().unwrap());
        let first = control.bootstrap(Bootstrap::default()).await.unwrap();
        let credentials = Credentials {
            key: &first.unwrap().key,
            address: None,
        };
        let caller = control.authenticate(credentials).await.unwrap();
        let agent = json!({"name": "worker", "model": "claude-sonnet-4-5"});
        let agent = control.create_agent(&caller, agent.as_object().unwrap());
        let page = PageRequest {
            before: None,
            limit: 1,
        };
        let environments = control.environments(&caller, &page, false).await.unwrap();
        let session = json!({
            "agent": agent.await.unwrap().id,
            "environment_id": environments.items[0].environment.id,
        });
        let made = control.create_session(&caller, session.as_object().unwrap());
        let id = made.await.unwrap().session.id;
        (Arc::new(control), caller, id)
    }

    #[tokio::test]
    async fn what_is_sent_claims_a_session_for_the_engine_that_is_here() {
        let directory = tempfile::tempdir().unwrap();
        let (control, caller, id) = at_rest(directory.path()).await;
        let free = Arc::new(Semaphore::new(SESSIONS_AT_WORK));
        let (_open, mut engine) = control.engine_places.open("here", &free);
        let send = async |event: Value| {
            let body = json!({"events": [event]});
            let body = body.as_object().unwrap();
            control.send_events(&caller, &id, body).await.map(drop)
        };
        let refused = json!({"type": "user.tool_result", "tool_use_id": fresh::id::<bailiwick_model::SessionEventId>(Timestamp::now())});
        send(refused).await.unwrap_err();
        assert!(engine.try_recv().is_err());
        assert_eq!(free.available_permits(), SESSIONS_AT_WORK);
        let message = json!({"type": "user.message", "content": [{"type": "text", "text": "Go."}]});
        send(message.clone()).await.unwrap();
        let Claimed { run, permit } = engine.try_recv().unwrap();
        assert_eq!((&run.session, run.holder.as_str()), (&id, "here"));
        assert_eq!(control.sessions_to_run(10).await.unwrap(), []);
        assert!(control.keep_session(&run).await.unwrap());
        // It runs already.
        send(message).await.unwrap();
        assert!(engine.try_recv().is_err());
        drop(permit);
        assert_eq!(free.available_permits(), SESSIONS_AT_WORK);
    }

    #[tokio::test]
    async fn what_was_claimed_for_an_engine_that_is_gone_is_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let (control, caller, id) = at_rest(directory.path()).await;
        let free = Arc::new(Semaphore::new(LEFT_TO_WAITING));
        let (_open, engine) = control.engine_places.open("here", &free);
        let message = json!({"type": "user.message", "content": [{"type": "text", "text": "Go."}]});
        let body = json!({"events": [message]});
        let sent = control.send_events(&caller, &id, body.as_object().unwrap());
        sent.await.unwrap();
        // There was no place.
        let waits = [(caller.organization().clone(), id.clone())];
        assert_eq!(control.sessions_to_run(10).await.unwrap(), waits);
        let claimed = control.claim_session(caller.organization(), &id, "here");
        let run = claimed.await.unwrap().unwrap();
        free.add_permits(1);
        let place = control.engine_places.take().unwrap();
        drop(engine);
        // Who has the number and another name gives nothing back.
        let another = SessionRun {
            holder: "another".to_owned(),
            ..run.clone()
        };
        control.release_session(&another).await.unwrap();
        assert_eq!(control.sessions_to_run(10).await.unwrap(), []);
        control.give_back(place.give(run)).await;
        assert_eq!(control.sessions_to_run(10).await.unwrap(), waits);
    }
}
