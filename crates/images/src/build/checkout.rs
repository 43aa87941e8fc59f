//! A commit of a repository as files, for whoever reads them: fetched as a project is, checked out in a sandbox that reaches nothing, and no layer.

use std::io;
use std::path::{Path, PathBuf};

use bailiwick_model::Project;
use bailiwick_runtime::ExitStatus;

use super::project::{checkout_job, fetch_error};
use super::{BuildError, Builder, Outcome, Progress};
use crate::mirror::Head;
use crate::store::lock::Kind;
use crate::store::{io_error, make_private, remove_tree};

/// What a script ends with where the mirror is damaged.
const DAMAGED: u8 = 92;

/// The files of a commit. They go when this does.
#[derive(Debug)]
pub struct Tree {
    whole: PathBuf,
    files: PathBuf,
}

impl Tree {
    /// Where the files are, with git's own in `.git`.
    pub fn files(&self) -> &Path {
        &self.files
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // What stays is in a directory that whoever made it empties.
        let _ = remove_tree(&self.whole);
    }
}

impl Builder {
    /// Checks a commit out that was fetched before ([`Builder::fetch`]), below `directory`, which nobody else uses.
    ///
    /// # Errors
    ///
    /// [`BuildError::Fetch`], [`BuildError::Store`], and what running a sandbox may come to.
    pub async fn check_out(
        &self,
        project: &Project,
        head: &Head,
        directory: &Path,
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Tree, BuildError> {
        let name = project.name.as_str();
        let mirror = self.mirror(&project.repository);
        let tree = Tree {
            whole: directory.to_owned(),
            files: directory.join("tree").join("workspace").join(name),
        };
        for part in ["tree", "work"] {
            make_private(&directory.join(part))?;
        }
        let _lock = mirror.lock(Kind::Shared).await?;
        let asked = [project.repository.as_str(), &head.commit];
        let job = checkout_job(&mirror, asked, head.branch.as_deref(), name);
        let failed = |reason: &str| fetch_error(&project.repository, reason);
        match self.run(job, Some(directory), None, told).await? {
            Outcome::Done(_) => {}
            Outcome::Failed(ExitStatus::Exited(DAMAGED), _) => {
                return Err(failed("what was kept of it is damaged"));
            }
            Outcome::Failed(_, tail) => return Err(failed(&super::error::reason(&tail))),
            Outcome::Over(limit) => return Err(failed(&format!("it ran into {limit}"))),
        }
        if tree.files.is_dir() {
            return Ok(tree);
        }
        let missing = io::Error::from(io::ErrorKind::NotFound);
        Err(io_error("open", &tree.files)(missing).into())
    }
}
