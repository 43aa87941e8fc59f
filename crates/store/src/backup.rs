//! Copies of a database of SQLite.

use std::path::Path;

use sqlx::{AnyConnection, Connection as _, Row as _};

use crate::error::StoreError;

/// Connects to a database that is there, and changes nothing about it.
async fn connect(path: &Path) -> Result<AnyConnection, StoreError> {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite:{}?mode=rw", path.display());
    let mut connection = AnyConnection::connect(&url).await?;
    sqlx::query("PRAGMA busy_timeout = 10000")
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

/// Copies a database into an empty file, as it is at one moment, also while others write to it. The file is not synced.
///
/// # Errors
///
/// See [`StoreError`]; the file then holds nothing of use.
pub async fn copy_database(from: &Path, to: &Path) -> Result<(), StoreError> {
    let mut connection = connect(from).await?;
    // All pages are read in one transaction (https://www.sqlite.org/lang_vacuum.html), beside which others write in WAL mode.
    sqlx::query("VACUUM INTO $1")
        .bind(to.display().to_string())
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}

/// Reads a copy: that it is whole, and that it is of this product and not of a later version than this.
///
/// # Errors
///
/// [`StoreError::NotACopy`], and see [`StoreError`].
pub async fn check_copy(path: &Path) -> Result<(), StoreError> {
    let mut connection = connect(path).await?;
    let found = sqlx::query("PRAGMA quick_check(1)")
        .fetch_one(&mut connection)
        .await?;
    if found.try_get::<String, _>(0)? != "ok" {
        return Err(StoreError::NotACopy("it is damaged"));
    }
    let version = sqlx::query("SELECT MAX(version) AS version FROM _sqlx_migrations WHERE success")
        .fetch_one(&mut connection)
        .await
        .map_err(|_| StoreError::NotACopy("it is no database of Bailiwick"))?;
    if version.try_get::<i64, _>("version")? > crate::store::newest_version() {
        return Err(StoreError::NotACopy(
            "a later version of Bailiwick wrote it",
        ));
    }
    connection.close().await?;
    Ok(())
}
