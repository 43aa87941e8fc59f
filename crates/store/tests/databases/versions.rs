//! What versions of the tables have to do with versions of the program.

use bailiwick_store::Store;

use crate::{Place, on_both};

on_both!(a_later_version_that_added_something_is_no_hindrance,);

async fn a_later_version_that_added_something_is_no_hindrance(place: Place) {
    let made = place.environment("before").await;
    place
        .execute("CREATE TABLE of_a_later_version (id BIGINT PRIMARY KEY)")
        .await;
    place
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             SELECT 999999, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
        )
        .await;
    let again = Store::open(&place.url).await.unwrap();
    let scope = again.scope(&place.organization);
    assert!(scope.environment(&made.id).await.unwrap().is_some());
}
