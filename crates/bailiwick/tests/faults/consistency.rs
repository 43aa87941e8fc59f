//! What is always true of a database, whatever became of those who wrote to it.

use bailiwick_store::{DatabaseUrl, Store};
use sqlx::{AnyConnection, Connection as _, Row as _};

/// Each counts what must not be there.
const NOTHING: [(&str, &str); 5] = [
    (
        "sessions whose events have numbers with a gap",
        "SELECT COUNT(*) FROM session s WHERE s.event_sequence <> (SELECT COUNT(*) FROM session_event e WHERE e.session_id = s.id) \
         OR s.event_sequence <> (SELECT COALESCE(MAX(e.sequence), 0) FROM session_event e WHERE e.session_id = s.id)",
    ),
    (
        "environments whose revisions are not those of their versions",
        "SELECT COUNT(*) FROM environment e WHERE e.version <> (SELECT COUNT(*) FROM environment_revision r WHERE r.environment_id = e.id) \
         OR e.version <> (SELECT MAX(r.number) FROM environment_revision r WHERE r.environment_id = e.id)",
    ),
    (
        "environments whose configuration is not that of their last revision",
        "SELECT COUNT(*) FROM environment e JOIN environment_revision r ON r.environment_id = e.id AND r.number = e.version \
         WHERE r.config <> e.config",
    ),
    (
        // The Default environment is made with its organization.
        "environments with more or fewer entries in the audit log than changes",
        "SELECT COUNT(*) FROM environment e WHERE e.is_default = 0 AND e.version <> \
         (SELECT COUNT(*) FROM audit_entry a WHERE a.resource_kind = 'environment' AND a.resource_id = e.id)",
    ),
    (
        "audit logs with a gap, or with another end than their organization says",
        "SELECT COUNT(*) FROM organization o WHERE o.audit_sequence <> (SELECT COUNT(*) FROM audit_entry a WHERE a.organization_id = o.id) \
         OR o.audit_sequence <> (SELECT MAX(a.sequence) FROM audit_entry a WHERE a.organization_id = o.id)",
    ),
];

/// Looks for what must not be there.
///
/// # Panics
///
/// When it is.
pub(crate) async fn assert_whole(url: &str) {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(url).await.expect("a connection");
    for (what, query) in NOTHING {
        let count = sqlx::query(query).fetch_one(&mut connection).await;
        let count: i64 = count.expect("an answer").try_get(0).expect("a number");
        assert_eq!(count, 0, "{what}");
    }
    connection.close().await.expect("the end of a connection");
}

/// Compares the hash of every entry of the audit log; how many there are.
///
/// # Panics
///
/// When the chain is broken.
pub(crate) async fn assert_chained(url: &str) -> i64 {
    let url: DatabaseUrl = url.parse().expect("a URL");
    let store = Store::open(&url).await.expect("a store");
    let first = store.first_organization().await.expect("an answer");
    let organization = first.expect("an organization");
    let verified = store.scope(&organization).verify_audit_log().await;
    let (entries, _) = verified.expect("an answer").expect("a whole chain");
    store.close().await;
    entries
}
