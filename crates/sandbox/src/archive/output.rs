//! Writing an archive, within limits.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::OwnedFd;

use bailiwick_model::limits::CHECKPOINT_FREE_LOOK_BYTES;
use rustix::io::Errno;

use super::{ATTRIBUTE_BYTES, ATTRIBUTES, MAGIC, Meta, NAME_BYTES, PATH_BYTES, is_name};
use crate::protocol::ArchiveLimits;

const BUFFER_BYTES: usize = 256 * 1024;

pub(crate) struct Output {
    file: BufWriter<File>,
    left: u64,
    /// Bytes that stay free, and how many are written until that is looked at again.
    free_bytes: u64,
    until_look: u64,
    records: u64,
    checksum: crc32fast::Hasher,
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

impl Output {
    /// EFBIG for more bytes than the limit, ENOSPC where too few stay free.
    pub(crate) fn new(file: OwnedFd, limits: ArchiveLimits) -> Result<Self, Errno> {
        let mut output = Self {
            file: BufWriter::with_capacity(BUFFER_BYTES, file.into()),
            left: limits.bytes,
            free_bytes: limits.free_bytes,
            until_look: 0,
            records: 0,
            checksum: crc32fast::Hasher::new(),
        };
        output.bytes(MAGIC)?;
        Ok(output)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or(Errno::FBIG)?;
        self.look(bytes.len() as u64)?;
        self.checksum.update(bytes);
        self.file.write_all(bytes).map_err(|error| errno(&error))
    }

    /// Others fill the disk as well. One that does not say what is free is not full.
    fn look(&mut self, about_to_be_written: u64) -> Result<(), Errno> {
        if let Some(left) = self.until_look.checked_sub(about_to_be_written) {
            self.until_look = left;
            return Ok(());
        }
        self.until_look = CHECKPOINT_FREE_LOOK_BYTES;
        match rustix::fs::fstatvfs(self.file.get_ref()) {
            Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < self.free_bytes => {
                Err(Errno::NOSPC)
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn u32(&mut self, number: u32) -> Result<(), Errno> {
        self.bytes(&number.to_le_bytes())
    }

    fn u64(&mut self, number: u64) -> Result<(), Errno> {
        self.bytes(&number.to_le_bytes())
    }

    fn text(&mut self, text: &[u8], limit: usize) -> Result<(), Errno> {
        match u32::try_from(text.len()) {
            Ok(length) if text.len() <= limit => self.u32(length)?,
            Ok(_) | Err(_) => return Err(Errno::NAMETOOLONG),
        }
        self.bytes(text)
    }

    fn name(&mut self, name: &[u8]) -> Result<(), Errno> {
        if !is_name(name) {
            return Err(Errno::INVAL);
        }
        self.text(name, NAME_BYTES)
    }

    fn kind(&mut self, kind: u8) -> Result<(), Errno> {
        self.records += 1;
        self.bytes(&[kind])
    }

    fn named(&mut self, kind: u8, name: &[u8], meta: &Meta) -> Result<(), Errno> {
        self.kind(kind)?;
        self.name(name)?;
        self.meta(meta)
    }

    fn meta(&mut self, meta: &Meta) -> Result<(), Errno> {
        if meta.mode & !0o1777 != 0 || meta.changed.1 >= 1_000_000_000 {
            return Err(Errno::INVAL);
        }
        let count = match u32::try_from(meta.attributes.len()) {
            Ok(count) if meta.attributes.len() <= ATTRIBUTES => count,
            Ok(_) | Err(_) => return Err(Errno::TOOBIG),
        };
        self.u32(meta.mode)?;
        self.u32(meta.uid)?;
        self.u32(meta.gid)?;
        self.bytes(&meta.changed.0.to_le_bytes())?;
        self.u32(meta.changed.1)?;
        self.bytes(&[u8::from(meta.opaque)])?;
        self.u32(count)?;
        for (name, value) in &meta.attributes {
            self.text(name, NAME_BYTES)?;
            self.text(value, ATTRIBUTE_BYTES)?;
        }
        Ok(())
    }

    pub(crate) fn place(&mut self, path: &[u8], meta: &Meta) -> Result<(), Errno> {
        self.kind(b'P')?;
        self.text(path, PATH_BYTES)?;
        self.meta(meta)
    }

    pub(crate) fn directory(&mut self, name: &[u8], meta: &Meta) -> Result<(), Errno> {
        self.named(b'D', name, meta)
    }

    /// Its pieces follow. One that `is_shared` has a number, for its other names.
    pub(crate) fn file(
        &mut self,
        name: &[u8],
        meta: &Meta,
        is_shared: bool,
        bytes: u64,
    ) -> Result<(), Errno> {
        self.named(b'F', name, meta)?;
        self.bytes(&[u8::from(is_shared)])?;
        self.u64(bytes)
    }

    /// As many bytes follow; of none, the file is over.
    pub(crate) fn piece(&mut self, offset: u64, length: u64) -> Result<(), Errno> {
        self.u64(length)?;
        if length > 0 {
            self.u64(offset)?;
        }
        Ok(())
    }

    pub(crate) fn link(&mut self, name: &[u8], meta: &Meta, target: &[u8]) -> Result<(), Errno> {
        self.named(b'L', name, meta)?;
        self.text(target, PATH_BYTES)
    }

    pub(crate) fn hard_link(&mut self, name: &[u8], number: u64) -> Result<(), Errno> {
        self.kind(b'H')?;
        self.name(name)?;
        self.u64(number)
    }

    pub(crate) fn fifo(&mut self, name: &[u8], meta: &Meta) -> Result<(), Errno> {
        self.named(b'I', name, meta)
    }

    pub(crate) fn nothing(&mut self, name: &[u8]) -> Result<(), Errno> {
        self.kind(b'W')?;
        self.name(name)
    }

    pub(crate) fn up(&mut self) -> Result<(), Errno> {
        self.kind(b'U')
    }

    /// Says that it is whole, and waits until the disk has it.
    pub(crate) fn end(mut self) -> Result<(), Errno> {
        self.kind(b'E')?;
        self.u64(self.records)?;
        let checksum = self.checksum.clone().finalize();
        self.u32(checksum)?;
        let file = self.file.into_inner().map_err(|e| errno(e.error()))?;
        rustix::fs::fdatasync(&file)
    }
}
