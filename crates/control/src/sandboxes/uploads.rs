//! The files of a session, as its sandbox sees them: read-only below `/mnt/session/uploads`.
//!
//! They are written to a directory of this machine that nobody else can enter and that is mounted, so a file that a session gets while its sandbox
//! runs is seen at once. Nothing inside can change it.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use bailiwick_model::{FileId, OrganizationId, ResourceId as _, SessionId};
use bailiwick_runtime::{Access, Mount, MountSource};
use bailiwick_store::{File, SessionResourceKind};
use tokio::fs;
use tokio::io::AsyncWriteExt;

use super::error::SandboxError;
use crate::content::Download;
use crate::control::Control;
use crate::error::ControlError;

/// Where they are inside.
const INSIDE: &str = "/mnt/session/uploads";

/// The files of one session.
pub(super) struct Uploads {
    directory: PathBuf,
    /// Those that are there, by their paths below the directory.
    there: BTreeMap<PathBuf, FileId>,
    is_begun: bool,
}

impl Uploads {
    /// In a directory of its own below `root`.
    pub(super) fn new(root: &Path, session: &SessionId) -> Self {
        Self {
            directory: root.join(session.as_str()),
            there: BTreeMap::new(),
            is_begun: false,
        }
    }

    pub(super) fn mount(&self) -> Mount {
        Mount {
            source: MountSource::Host(self.directory.clone()),
            target: INSIDE.into(),
            access: Access::ReadOnly,
        }
    }

    /// Makes the directory hold what the session has now.
    pub(super) async fn follow(
        &mut self,
        control: &Control,
        organization: &OrganizationId,
        session: &SessionId,
    ) -> Result<(), SandboxError> {
        let wanted = control.files_to_mount(organization, session).await?;
        if !self.is_begun {
            // What a server left that was killed is none of it.
            self.remove().await;
            self.is_begun = true;
        }
        make_directory(&self.directory).await?;
        let gone: Vec<_> = self
            .there
            .iter()
            .filter(|(path, id)| wanted.get(*path).is_none_or(|file| file.id != **id))
            .map(|(path, _)| path.clone())
            .collect();
        for path in gone {
            remove_file(&self.directory.join(&path)).await?;
            self.remove_empty_above(&path).await;
            self.there.remove(&path);
        }
        for (path, file) in wanted {
            if !self.there.contains_key(&path) {
                let id = file.id.clone();
                self.place(control, organization, &path, file).await?;
                self.there.insert(path, id);
            }
        }
        Ok(())
    }

    /// A file may take the place of a directory that is empty now.
    async fn remove_empty_above(&self, path: &Path) {
        for above in path.ancestors().skip(1) {
            let is_own = above.as_os_str().is_empty();
            if is_own || fs::remove_dir(self.directory.join(above)).await.is_err() {
                return;
            }
        }
    }

    /// It appears whole, or not at all.
    async fn place(
        &self,
        control: &Control,
        organization: &OrganizationId,
        path: &Path,
        file: File,
    ) -> Result<(), SandboxError> {
        let content = file.content.ok_or(ControlError::Expired("file"))?;
        let mut download = Download::of(control, organization, content, file.size_bytes);
        let arriving = self.directory.with_extension("arriving");
        let mut written = fs::File::create(&arriving).await?;
        while let Some(chunk) = download.next().await? {
            written.write_all(&chunk).await?;
        }
        written.flush().await?;
        let readable = std::fs::Permissions::from_mode(0o444);
        written.set_permissions(readable).await?;
        let target = self.directory.join(path);
        if let Some(above) = target.parent() {
            fs::create_dir_all(above).await?;
        }
        Ok(fs::rename(&arriving, &target).await?)
    }

    /// Nothing of it stays on this machine.
    pub(super) async fn remove(&mut self) {
        self.there.clear();
        let arriving = self.directory.with_extension("arriving");
        let removed = [
            fs::remove_dir_all(&self.directory).await,
            fs::remove_file(&arriving).await,
        ];
        for error in removed.into_iter().filter_map(Result::err) {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(directory = %self.directory.display(), %error, "files of a session that has ended cannot be removed");
            }
        }
    }
}

/// Everybody may look into it who can reach it, which above it nobody else can.
async fn make_directory(directory: &Path) -> io::Result<()> {
    if fs::try_exists(directory).await? {
        return Ok(());
    }
    if let Some(above) = directory.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(above)
            .await?;
    }
    fs::create_dir(directory).await?;
    // Whatever the umask is.
    fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).await
}

async fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Control {
    /// The files of a session that are there, by where they are below [`INSIDE`].
    async fn files_to_mount(
        &self,
        organization: &OrganizationId,
        session: &SessionId,
    ) -> Result<BTreeMap<PathBuf, File>, ControlError> {
        let scope = self.store.scope(organization);
        let mut files = BTreeMap::new();
        for resource in scope.session_resources(session).await? {
            let SessionResourceKind::File(id) = &resource.kind else {
                continue;
            };
            let path = below(&resource.mount_path);
            if let (Some(path), Some(file)) = (path, scope.file(id).await?)
                && file.content.is_some()
            {
                files.insert(path, file);
            }
        }
        Ok(files)
    }
}

/// A path of plain names below [`INSIDE`]; the wire lets no other one in, and here it is a path of this machine.
fn below(mount_path: &str) -> Option<PathBuf> {
    let path = Path::new(mount_path).strip_prefix(INSIDE).ok()?;
    let is_plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    (is_plain && path.file_name().is_some()).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_placed_below_its_directory_or_nowhere() {
        assert_eq!(below("/mnt/session/uploads/a/b"), Some("a/b".into()));
        for bad in [
            "/mnt/session/uploads",
            "/mnt/session/uploads/",
            "/mnt/session/uploads/../x",
            "/mnt/session/uploads/a/../../x",
            "/mnt/session/uploads2/a",
            "/etc/passwd",
            "a",
        ] {
            assert_eq!(below(bad), None, "{bad}");
        }
    }
}
