//! What servers on one database tell each other.

use std::time::Duration;

use bailiwick_model::{ResourceId as _, SessionId};
use bailiwick_store::{Notice, SessionNotice, Store};

use crate::{Place, on_both};

const PATIENCE: Duration = Duration::from_secs(20);

on_both!(what_one_server_tells_every_server_hears_where_there_are_several);

async fn what_one_server_tells_every_server_hears_where_there_are_several(place: Place) {
    let other = Store::open(&place.url).await.unwrap();
    let Some(mut heard) = other.listen().await.unwrap() else {
        assert!(!other.is_shared(), "nobody else has it");
        return;
    };
    let session = SessionNotice {
        session: SessionId::made(1, [7; 10]),
        sequence: 3,
        has_begun: true,
        is_tightened: false,
    };
    place.store.tell(&session).await.unwrap();
    place.store.tell_of_gateways().await.unwrap();
    for expect in [Notice::Session(session), Notice::Gateways] {
        let next = tokio::time::timeout(PATIENCE, heard.next()).await;
        assert_eq!(next.unwrap().unwrap(), Some(expect));
    }
}
