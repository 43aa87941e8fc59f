//! Writing an archive, up to a limit.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::{MAGIC, Meta};

const BUFFER_BYTES: usize = 256 * 1024;

pub(crate) struct Output {
    file: BufWriter<File>,
    left: u64,
    records: u64,
    checksum: crc32fast::Hasher,
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

impl Output {
    /// At most `limit` bytes; EFBIG above it.
    pub(crate) fn new(file: OwnedFd, limit: u64) -> Result<Self, Errno> {
        let mut output = Self {
            file: BufWriter::with_capacity(BUFFER_BYTES, file.into()),
            left: limit,
            records: 0,
            checksum: crc32fast::Hasher::new(),
        };
        output.bytes(MAGIC)?;
        Ok(output)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or(Errno::FBIG)?;
        self.checksum.update(bytes);
        self.file.write_all(bytes).map_err(|error| errno(&error))
    }

    fn u32(&mut self, number: u32) -> Result<(), Errno> {
        self.bytes(&number.to_le_bytes())
    }

    fn u64(&mut self, number: u64) -> Result<(), Errno> {
        self.bytes(&number.to_le_bytes())
    }

    fn text(&mut self, text: &[u8]) -> Result<(), Errno> {
        self.u32(u32::try_from(text.len()).map_err(|_| Errno::NAMETOOLONG)?)?;
        self.bytes(text)
    }

    fn kind(&mut self, kind: u8) -> Result<(), Errno> {
        self.records += 1;
        self.bytes(&[kind])
    }

    fn named(&mut self, kind: u8, name: &[u8], meta: &Meta) -> Result<(), Errno> {
        self.kind(kind)?;
        self.text(name)?;
        self.meta(meta)
    }

    fn meta(&mut self, meta: &Meta) -> Result<(), Errno> {
        self.u32(meta.mode)?;
        self.u32(meta.uid)?;
        self.u32(meta.gid)?;
        self.bytes(&meta.changed.0.to_le_bytes())?;
        self.u32(meta.changed.1)?;
        self.bytes(&[u8::from(meta.opaque)])?;
        self.u32(u32::try_from(meta.attributes.len()).map_err(|_| Errno::TOOBIG)?)?;
        for (name, value) in &meta.attributes {
            self.text(name)?;
            self.text(value)?;
        }
        Ok(())
    }

    pub(crate) fn place(&mut self, path: &[u8], meta: &Meta) -> Result<(), Errno> {
        self.named(b'P', path, meta)
    }

    pub(crate) fn directory(&mut self, name: &[u8], meta: &Meta) -> Result<(), Errno> {
        self.named(b'D', name, meta)
    }

    /// Its pieces follow.
    pub(crate) fn file(&mut self, name: &[u8], meta: &Meta, bytes: u64) -> Result<(), Errno> {
        self.named(b'F', name, meta)?;
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
        self.text(target)
    }

    pub(crate) fn hard_link(&mut self, name: &[u8], path: &[u8]) -> Result<(), Errno> {
        self.kind(b'H')?;
        self.text(name)?;
        self.text(path)
    }

    pub(crate) fn fifo(&mut self, name: &[u8], meta: &Meta) -> Result<(), Errno> {
        self.named(b'I', name, meta)
    }

    pub(crate) fn nothing(&mut self, name: &[u8]) -> Result<(), Errno> {
        self.kind(b'W')?;
        self.text(name)
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
