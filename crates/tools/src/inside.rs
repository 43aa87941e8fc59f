//! The sandbox as the tools see it: whatever its policy is made of.

use std::path::Path;
use std::sync::Arc;

use bailiwick_runtime::{BoxFuture, Command, Error, Execution, FileEntry, Sandbox};

/// The verbs of a sandbox that tools use; see [`Sandbox`].
pub(crate) trait Inside: Send + Sync {
    fn exec(&self, command: Command) -> BoxFuture<'_, Result<Execution, Error>>;
    fn read<'a>(
        &'a self,
        path: &'a Path,
        limit_bytes: u64,
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>>;
    fn write<'a>(
        &'a self,
        path: &'a Path,
        contents: Vec<u8>,
        mode: u32,
    ) -> BoxFuture<'a, Result<(), Error>>;
    fn list<'a>(
        &'a self,
        path: &'a Path,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<FileEntry>, Error>>;
    fn look_at<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<FileEntry, Error>>;
    fn mark(&self, mark: u64) -> BoxFuture<'_, Result<(), Error>>;
}

impl<P: Clone + Send + Sync + 'static> Inside for Arc<dyn Sandbox<Policy = P>> {
    fn exec(&self, command: Command) -> BoxFuture<'_, Result<Execution, Error>> {
        self.as_ref().exec(command)
    }

    fn read<'a>(
        &'a self,
        path: &'a Path,
        limit_bytes: u64,
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        self.as_ref().read_file(path, limit_bytes)
    }

    fn write<'a>(
        &'a self,
        path: &'a Path,
        contents: Vec<u8>,
        mode: u32,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.as_ref().write_file(path, contents, mode)
    }

    fn list<'a>(
        &'a self,
        path: &'a Path,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<FileEntry>, Error>> {
        self.as_ref().list_files(path, limit)
    }

    fn look_at<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<FileEntry, Error>> {
        self.as_ref().look_at(path)
    }

    fn mark(&self, mark: u64) -> BoxFuture<'_, Result<(), Error>> {
        self.as_ref().mark(mark)
    }
}
