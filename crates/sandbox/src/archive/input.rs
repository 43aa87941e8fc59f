//! Reading an archive. Nothing that it says is believed further than its form.

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::{
    ATTRIBUTE_BYTES, ATTRIBUTES, DAMAGED, MAGIC, Meta, NAME_BYTES, PATH_BYTES, Record, is_name,
};

const BUFFER_BYTES: usize = 256 * 1024;

pub(crate) struct Input {
    file: BufReader<File>,
    records: u64,
    checksum: crc32fast::Hasher,
}

/// A piece of a file, whose bytes follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl Input {
    pub(crate) fn new(file: OwnedFd) -> Result<Self, Errno> {
        let mut input = Self {
            file: BufReader::with_capacity(BUFFER_BYTES, file.into()),
            records: 0,
            checksum: crc32fast::Hasher::new(),
        };
        let mut magic = [0; MAGIC.len()];
        input.fill(&mut magic)?;
        if magic == MAGIC {
            Ok(input)
        } else {
            Err(DAMAGED)
        }
    }

    /// An archive that ends too early is damaged.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Errno> {
        self.file
            .read_exact(bytes)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(DAMAGED))?;
        self.checksum.update(bytes);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Errno> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, Errno> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Errno> {
        self.array().map(u64::from_le_bytes)
    }

    fn flag(&mut self) -> Result<bool, Errno> {
        match self.array::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(DAMAGED),
        }
    }

    fn text(&mut self, limit: usize) -> Result<Vec<u8>, Errno> {
        let length = self.u32()? as usize;
        if length > limit {
            return Err(DAMAGED);
        }
        let mut text = vec![0; length];
        self.fill(&mut text)?;
        Ok(text)
    }

    fn name(&mut self) -> Result<Vec<u8>, Errno> {
        let name = self.text(NAME_BYTES)?;
        if is_name(&name) {
            Ok(name)
        } else {
            Err(DAMAGED)
        }
    }

    fn meta(&mut self) -> Result<Meta, Errno> {
        let mut meta = Meta {
            mode: self.u32()?,
            uid: self.u32()?,
            gid: self.u32()?,
            changed: (self.array().map(i64::from_le_bytes)?, self.u32()?),
            opaque: self.flag()?,
            attributes: Vec::new(),
        };
        let count = self.u32()? as usize;
        if meta.mode & !0o1777 != 0 || meta.changed.1 >= 1_000_000_000 || count > ATTRIBUTES {
            return Err(DAMAGED);
        }
        for _ in 0..count {
            let name = self.text(NAME_BYTES)?;
            let value = self.text(ATTRIBUTE_BYTES)?;
            meta.attributes.push((name, value));
        }
        Ok(meta)
    }

    pub(crate) fn next(&mut self) -> Result<Record, Errno> {
        let [kind] = self.array()?;
        self.records += 1;
        Ok(match kind {
            b'P' => Record::Place {
                path: self.text(PATH_BYTES)?,
                meta: self.meta()?,
            },
            b'D' => Record::Directory {
                name: self.name()?,
                meta: self.meta()?,
            },
            b'F' => Record::File {
                name: self.name()?,
                meta: self.meta()?,
                is_shared: self.flag()?,
                bytes: self.u64()?,
            },
            b'L' => Record::Link {
                name: self.name()?,
                meta: self.meta()?,
                target: self.text(PATH_BYTES)?,
            },
            b'H' => Record::HardLink {
                name: self.name()?,
                number: self.u64()?,
            },
            b'I' => Record::Fifo {
                name: self.name()?,
                meta: self.meta()?,
            },
            b'W' => Record::Nothing { name: self.name()? },
            b'U' => Record::Up,
            b'E' => self.end()?,
            _ => return Err(DAMAGED),
        })
    }

    fn end(&mut self) -> Result<Record, Errno> {
        let records = self.u64()?;
        let expected = self.checksum.clone().finalize();
        let is_whole = records == self.records && self.u32()? == expected;
        let is_over = matches!(self.file.read(&mut [0]), Ok(0));
        if is_whole && is_over {
            Ok(Record::End)
        } else {
            Err(DAMAGED)
        }
    }

    /// The next piece of the file whose record came last; `None` when it is over. Pieces follow each other, and none is beyond the end.
    pub(crate) fn piece(&mut self, last_end: u64, bytes: u64) -> Result<Option<Piece>, Errno> {
        let length = self.u64()?;
        if length == 0 {
            return Ok(None);
        }
        let offset = self.u64()?;
        let end = offset.checked_add(length).ok_or(DAMAGED)?;
        if offset < last_end || end > bytes {
            return Err(DAMAGED);
        }
        Ok(Some(Piece { offset, length }))
    }
}
