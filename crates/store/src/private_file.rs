//! The files of a database of SQLite: nobody but their owner reads or writes them.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// What SQLite keeps beside a database; it makes them with the rights of the database.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];
const OWNERS: u32 = 0o600;

/// Makes the database's file for its owner alone before SQLite would make it for all, and takes away what others may do with files that are
/// there already.
///
/// # Errors
///
/// [`StoreError::OpenFile`], such as where a file is another user's.
pub(crate) fn keep_private(database: &Path) -> Result<(), StoreError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::OpenFile { path, source }
    };
    // One that is there is opened, and nothing else.
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(OWNERS)
        .open(database)
        .map_err(failed(database))?;
    narrow(database).map_err(failed(database))?;
    for end in BESIDE {
        let mut path = database.as_os_str().to_owned();
        path.push(end);
        let path = PathBuf::from(path);
        match narrow(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&path)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn narrow(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o177 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(OWNERS))
}

#[cfg(test)]
mod tests {
    use bailiwick_model::OrganizationId;

    use super::*;
    use crate::{DatabaseUrl, Store};

    fn modes(directory: &Path) -> Vec<(String, u32)> {
        let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
        let mode = |entry: fs::DirEntry| {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            (entry.file_name().into_string().unwrap(), mode)
        };
        let mut all: Vec<_> = entries.map(mode).collect();
        all.sort();
        all
    }

    #[tokio::test]
    async fn nobody_else_reads_a_database_also_if_they_could_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bailiwick.db");
        let url = DatabaseUrl::Sqlite(path.clone());
        let expected = ["bailiwick.db", "bailiwick.db-shm", "bailiwick.db-wal"];
        let expected = expected.map(|name| (name.to_owned(), OWNERS));
        let store = Store::open(&url).await.unwrap();
        assert_eq!(modes(directory.path()), expected);
        // While it is in use, as after a crash: everything is there.
        for (name, _) in modes(directory.path()) {
            let wide = Permissions::from_mode(0o666);
            fs::set_permissions(directory.path().join(name), wide).unwrap();
        }
        let again = Store::open(&url).await.unwrap();
        assert_eq!(modes(directory.path()), expected);
        let organization: Option<OrganizationId> = again.first_organization().await.unwrap();
        assert_eq!(organization, None);
        store.close().await;
        again.close().await;
    }

    #[test]
    fn what_cannot_be_kept_private_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing/bailiwick.db");
        let refused = keep_private(&missing).unwrap_err();
        assert!(matches!(refused, StoreError::OpenFile { .. }), "{refused}");
        let refused = keep_private(directory.path()).unwrap_err();
        assert!(matches!(refused, StoreError::OpenFile { .. }), "{refused}");
    }
}
