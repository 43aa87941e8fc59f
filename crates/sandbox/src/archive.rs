//! The form in which the files of a sandbox are kept: a stream of records, written and read by process 1 of sandboxes alone.
//!
//! ```text
//! "bailiwick checkpoint 1\n"
//! place: P path meta                         then what is in it
//!   D name meta  ...what is in it...  U      a directory
//!   F name meta shared size (offset length bytes)* 0   a file; what no piece covers is a hole; whether other names of it may follow
//!   L name meta target                       a symbolic link
//!   H name number                            another name of a file that came before: its number among the shared ones of the place, from 0
//!   I name meta                              a FIFO
//!   W name                                   nothing, where a layer has something
//! U
//! E count checksum
//! ```
//!
//! Numbers are little-endian. Names are single components. It is no tar: nothing in it can name a path above its place, a device or an
//! owner that is not mapped, and the end says whether it is whole. What is read is bounded, and nothing beyond those bounds is written.

use rustix::io::Errno;

mod input;
mod output;

pub(crate) use input::Input;
pub(crate) use output::Output;

const MAGIC: &[u8] = b"bailiwick checkpoint 1\n";
/// NAME_MAX.
const NAME_BYTES: usize = 255;
/// PATH_MAX, and more than the deepest path that is kept.
const PATH_BYTES: usize = 256 * 1024;
/// Extended attributes of one file, and the bytes of a value (XATTR_SIZE_MAX).
const ATTRIBUTES: usize = 256;
const ATTRIBUTE_BYTES: usize = 64 * 1024;
/// Directories inside one another; each is held open while what is below it is walked.
pub(crate) const DEPTH: usize = 256;

/// A record that is damaged, or no record at all.
pub(crate) const DAMAGED: Errno = Errno::BADMSG;

/// What a file has besides its name and contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Permission bits and the sticky bit.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// When it was changed, in seconds since 1970 and nanoseconds.
    pub(crate) changed: (i64, u32),
    /// A directory that hides what layers have in its place.
    pub(crate) opaque: bool,
    pub(crate) attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Place {
        path: Vec<u8>,
        meta: Meta,
    },
    Directory {
        name: Vec<u8>,
        meta: Meta,
    },
    /// Its pieces follow: [`Input::piece`].
    File {
        name: Vec<u8>,
        meta: Meta,
        /// There may be other names of it.
        is_shared: bool,
        bytes: u64,
    },
    Link {
        name: Vec<u8>,
        meta: Meta,
        target: Vec<u8>,
    },
    /// Of the shared files of its place, from 0.
    HardLink {
        name: Vec<u8>,
        number: u64,
    },
    Fifo {
        name: Vec<u8>,
        meta: Meta,
    },
    Nothing {
        name: Vec<u8>,
    },
    Up,
    /// The archive is whole.
    End,
}

/// A name of an entry that cannot lead anywhere else.
fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
        && name.len() <= NAME_BYTES
        && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

#[cfg(test)]
mod tests;
