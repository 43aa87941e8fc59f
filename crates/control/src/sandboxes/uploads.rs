//! The files of a session, as its sandbox sees them: read-only below `/mnt/session/uploads`.
//!
//! They are written to a directory of this machine that nobody else can enter and that is mounted, so a file that a session gets while its sandbox
//! runs is seen at once. Nothing inside can change it. One content is written once, whatever paths lead to it: the others are links to the same file.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use bailiwick_model::{ContentId, FileId, OrganizationId, ResourceId as _, SessionId};
use bailiwick_runtime::{Access, Mount, MountSource};
use bailiwick_store::SessionResourceKind;
use tokio::fs;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use super::error::SandboxError;
use crate::content::Download;
use crate::control::Control;
use crate::error::ControlError;

/// Where they are inside.
const INSIDE: &str = "/mnt/session/uploads";

/// The files of one session.
pub(super) struct Uploads {
    directory: PathBuf,
    /// Bytes that the file system keeps free.
    free_bytes: u64,
    /// Nothing is placed any more.
    is_over: CancellationToken,
    /// Those that are there, by their paths below the directory.
    there: BTreeMap<PathBuf, FileCopy>,
    is_begun: bool,
}

/// A session's copy of a file.
struct FileCopy {
    id: FileId,
    content: ContentId,
    bytes: i64,
}

impl Uploads {
    /// In a directory of its own below `root`.
    pub(super) fn new(root: &Path, session: &SessionId, free_bytes: u64) -> Self {
        Self {
            directory: root.join(session.as_str()),
            free_bytes,
            is_over: CancellationToken::new(),
            there: BTreeMap::new(),
            is_begun: false,
        }
    }

    /// Once this is cancelled nothing is placed any more, and whoever places something stops.
    pub(super) fn is_over(&self) -> CancellationToken {
        self.is_over.clone()
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
        self.goes_on()?;
        if !self.is_begun {
            // What a server left that was killed is none of it.
            self.remove().await;
            self.is_begun = true;
        }
        make_directory(&self.directory).await?;
        let gone: Vec<_> = self
            .there
            .iter()
            .filter(|(path, copy)| wanted.get(*path).is_none_or(|now| now.id != copy.id))
            .map(|(path, _)| path.clone())
            .collect();
        for path in gone {
            remove_file(&self.directory.join(&path)).await?;
            self.remove_empty_above(&path).await;
            self.there.remove(&path);
        }
        for (path, copy) in wanted {
            if self.there.contains_key(&path) {
                continue;
            }
            match self.beside(&copy.content) {
                Some(beside) => self.link(beside, &path).await?,
                None => self.place(control, organization, &path, &copy).await?,
            }
            self.there.insert(path, copy);
        }
        Ok(())
    }

    fn goes_on(&self) -> Result<(), SandboxError> {
        if self.is_over.is_cancelled() {
            Err(SandboxError::Ended)
        } else {
            Ok(())
        }
    }

    /// A file that is there and has this content.
    fn beside(&self, content: &ContentId) -> Option<&Path> {
        let mut there = self.there.iter();
        let (path, _) = there.find(|(_, copy)| copy.content == *content)?;
        Some(path)
    }

    async fn link(&self, beside: &Path, path: &Path) -> Result<(), SandboxError> {
        let target = self.target(path).await?;
        remove_file(&target).await?;
        Ok(fs::hard_link(self.directory.join(beside), target).await?)
    }

    /// Where a file belongs, in a directory that is there.
    async fn target(&self, path: &Path) -> io::Result<PathBuf> {
        let target = self.directory.join(path);
        if let Some(above) = target.parent() {
            fs::create_dir_all(above).await?;
        }
        Ok(target)
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
        copy: &FileCopy,
    ) -> Result<(), SandboxError> {
        let arriving = self.directory.with_extension("arriving");
        let download = Download::of(control, organization, copy.content.clone(), copy.bytes);
        let written = self.write(download, &arriving).await;
        if written.is_err() {
            // What did not become a file takes no room.
            remove_file(&arriving).await?;
        }
        written?;
        Ok(fs::rename(&arriving, self.target(path).await?).await?)
    }

    async fn write(&self, mut download: Download, arriving: &Path) -> Result<(), SandboxError> {
        let mut written = fs::File::create(arriving).await?;
        while let Some(chunk) = download.next().await? {
            self.goes_on()?;
            if !leaves_free(arriving, chunk.len(), self.free_bytes) {
                return Err(SandboxError::DiskFull);
            }
            written.write_all(&chunk).await?;
        }
        written.flush().await?;
        let readable = std::fs::Permissions::from_mode(0o444);
        Ok(written.set_permissions(readable).await?)
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

/// Whether the file system has so much free when these bytes have come, too. One that does not tell has.
fn leaves_free(place: &Path, bytes: usize, free_bytes: u64) -> bool {
    rustix::fs::statvfs(place).map_or(true, |stat| {
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        free.saturating_sub(bytes as u64) >= free_bytes
    })
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
    ) -> Result<BTreeMap<PathBuf, FileCopy>, ControlError> {
        let scope = self.store.scope(organization);
        let mut files = BTreeMap::new();
        for resource in scope.session_resources(session).await? {
            let SessionResourceKind::File(id) = &resource.kind else {
                continue;
            };
            let path = below(&resource.mount_path);
            if let (Some(path), Some(file)) = (path, scope.file(id).await?)
                && let Some(content) = file.content
            {
                let (id, bytes) = (file.id, file.size_bytes);
                files.insert(path, FileCopy { id, content, bytes });
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
