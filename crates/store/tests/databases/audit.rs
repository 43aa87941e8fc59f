//! The audit log.

use crate::{Place, on_both};

on_both!(
    every_change_is_an_entry_and_the_chain_holds,
    a_changed_cut_or_removed_entry_shows,
);

async fn every_change_is_an_entry_and_the_chain_holds(place: Place) {
    for name in ["a", "b", "c"] {
        place.environment(name).await;
    }
    let scope = place.store.scope(&place.organization);
    let entries = scope.audit_entries(0, 10).await.unwrap();
    let actions: Vec<_> = entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "organization.create",
            "environment.create",
            "environment.create",
            "environment.create"
        ]
    );
    let (count, hash) = scope.verify_audit_log().await.unwrap().unwrap();
    assert_eq!((count, hash), (4, entries[3].hash));
}

async fn a_changed_cut_or_removed_entry_shows(place: Place) {
    for name in ["a", "b", "c"] {
        place.environment(name).await;
    }
    let scope = place.store.scope(&place.organization);
    assert!(scope.verify_audit_log().await.unwrap().is_ok());
    // Each with what undoes it.
    for (forgery, undone, at) in [
        (
            "UPDATE audit_entry SET actor_id = 'somebody' WHERE sequence = 2",
            "UPDATE audit_entry SET actor_id = 'test' WHERE sequence = 2",
            2,
        ),
        (
            "UPDATE audit_entry SET sequence = 99 WHERE sequence = 3",
            "UPDATE audit_entry SET sequence = 3 WHERE sequence = 99",
            3,
        ),
        ("DELETE FROM audit_entry WHERE sequence = 4", "", 4),
    ] {
        assert_eq!(place.execute(forgery).await, 1, "{forgery}");
        let broken = scope.verify_audit_log().await.unwrap().unwrap_err();
        assert_eq!(broken.sequence, at, "{forgery}");
        if !undone.is_empty() {
            assert_eq!(place.execute(undone).await, 1, "{undone}");
            assert!(scope.verify_audit_log().await.unwrap().is_ok());
        }
    }
}
