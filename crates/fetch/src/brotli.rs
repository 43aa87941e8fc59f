//! Taking brotli off (RFC 7932).
//!
//! The window is what a stream asks for, at most 16 MiB: the extension with windows of up to 1 GiB is refused, which the decoder's own writer would take.

use std::io::{self, Write};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

/// How much is decoded at once.
const PIECE_BYTES: usize = 16 * 1024;

/// Writes what it is given decoded into another writer.
pub(crate) struct BrotliDecoder<W> {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    into: W,
    is_ended: bool,
}

impl<W: Write> BrotliDecoder<W> {
    pub(crate) fn new(into: W) -> Self {
        let state = BrotliState::new_strict(
            StandardAlloc::default(),
            StandardAlloc::default(),
            StandardAlloc::default(),
        );
        Self {
            state: Box::new(state),
            into,
            is_ended: false,
        }
    }

    pub(crate) fn get_ref(&self) -> &W {
        &self.into
    }

    pub(crate) fn get_mut(&mut self) -> &mut W {
        &mut self.into
    }

    /// Whether the stream came to its end.
    pub(crate) fn try_finish(&self) -> io::Result<()> {
        if self.is_ended {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Decodes one piece; whether there may be more without more input.
    fn decode(&mut self, left: &mut &[u8]) -> io::Result<bool> {
        let mut piece = [0; PIECE_BYTES];
        let (mut unread, mut read) = (left.len(), 0);
        let (mut room, mut written, mut total) = (piece.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut unread,
            &mut read,
            left,
            &mut room,
            &mut written,
            &mut piece,
            &mut total,
            &mut self.state,
        );
        *left = &left[read..];
        self.into.write_all(&piece[..written])?;
        match result {
            BrotliResult::NeedsMoreOutput => Ok(true),
            BrotliResult::NeedsMoreInput => Ok(false),
            BrotliResult::ResultSuccess => {
                self.is_ended = true;
                Ok(false)
            }
            BrotliResult::ResultFailure => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl<W: Write> Write for BrotliDecoder<W> {
    /// What follows the end of the stream is an error: brotli knows no second one.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut left = data;
        while !self.is_ended && self.decode(&mut left)? {}
        if left.is_empty() {
            Ok(data.len())
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}
