//! Where the files of a place are that may get other names: as numbers, since paths are long and there may be many of them.

use rustix::io::Errno;

use crate::archive::DAMAGED;

/// The place itself.
const ROOT: usize = 0;

/// The directories of a place, and its shared files, in the order of their records.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Below the place: each with the number of the one above it, which is smaller, and its name. The first has the number 1.
    directories: Vec<(usize, Vec<u8>)>,
    /// The one that is being filled.
    current: usize,
    /// Each with its directory and its name there. `None` for one that was left out.
    files: Vec<Option<(usize, Vec<u8>)>>,
}

impl Named {
    /// What follows is in a directory of the current one.
    pub(super) fn down(&mut self, name: &[u8]) {
        self.directories.push((self.current, name.to_vec()));
        self.current = self.directories.len();
    }

    /// The current directory is complete.
    pub(super) fn up(&mut self) {
        self.current = self
            .directory(self.current)
            .map_or(ROOT, |(above, _)| *above);
    }

    /// The next shared file, if it is there, by its name in the current directory.
    pub(super) fn file(&mut self, name: Option<&[u8]>) {
        let file = name.map(|name| (self.current, name.to_vec()));
        self.files.push(file);
    }

    /// The names that lead from the place to a shared file.
    pub(super) fn way(&self, number: u64) -> Result<Vec<&[u8]>, Errno> {
        let number = usize::try_from(number).map_err(|_| DAMAGED)?;
        let file = self.files.get(number).ok_or(DAMAGED)?;
        let (directory, name) = file.as_ref().ok_or(Errno::NOENT)?;
        let mut way = vec![&name[..]];
        let mut current = *directory;
        while let Some((above, name)) = self.directory(current) {
            way.push(name);
            current = *above;
        }
        way.reverse();
        Ok(way)
    }

    fn directory(&self, number: usize) -> Option<&(usize, Vec<u8>)> {
        self.directories.get(number.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_leads_to_the_file_that_had_it() {
        let mut named = Named::default();
        named.file(Some(b"first"));
        named.down(b"a");
        named.down(b"b");
        named.file(Some(b"second"));
        named.up();
        named.file(None);
        named.up();
        named.down(b"c");
        named.file(Some(b"third"));
        let way = |number| named.way(number).map(|way| way.join(&b'/'));
        assert_eq!(way(0), Ok(b"first".to_vec()));
        assert_eq!(way(1), Ok(b"a/b/second".to_vec()));
        assert_eq!(way(2), Err(Errno::NOENT));
        assert_eq!(way(3), Ok(b"c/third".to_vec()));
        assert_eq!(way(4), Err(DAMAGED));
        assert_eq!(way(u64::MAX), Err(DAMAGED));
    }
}
