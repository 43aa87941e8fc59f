//! Archives that are compressed with Zstandard (RFC 8878).

use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Whether this is the start of a frame, also of one to be skipped: what compresses in parallel begins with such.
pub(super) fn is_frame(start: &[u8]) -> bool {
    start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
        || matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// What all frames of a source hold, one after the other (RFC 8878, 3.1).
pub(super) struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
    is_in_frame: bool,
}

impl<R: BufRead> Frames<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            decoder: FrameDecoder::new(),
            is_in_frame: false,
        }
    }

    /// Begins the next frame; skips one that only programs of a certain kind understand.
    fn begin(&mut self) -> io::Result<()> {
        match self.decoder.init(&mut self.source) {
            Ok(()) => self.is_in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let mut rest = self.source.by_ref().take(u64::from(length));
                if io::copy(&mut rest, &mut io::sink())? < u64::from(length) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(io::Error::other(error)),
        }
        Ok(())
    }

    /// Decodes until there is something to take, or the frame has ended.
    fn decode(&mut self) -> io::Result<()> {
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            let one = BlockDecodingStrategy::UptoBlocks(1);
            let decoded = self.decoder.decode_blocks(&mut self.source, one);
            decoded.map_err(io::Error::other)?;
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.is_in_frame {
                self.decode()?;
                let length = self.decoder.read(buffer)?;
                if length > 0 {
                    return Ok(length);
                }
                self.is_in_frame = false;
            }
            if self.source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.begin()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn frame(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    fn skippable(bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        [&[0x5a, 0x2a, 0x4d, 0x18], &length[..], bytes].concat()
    }

    fn read(source: &[u8]) -> io::Result<Vec<u8>> {
        assert!(is_frame(source));
        let mut bytes = Vec::new();
        Frames::new(source).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn every_frame_is_read_and_those_to_be_skipped_are() {
        let (one, two) = (vec![b'a'; 300_000], b"two".to_vec());
        let whole = [&one[..], &two].concat();
        let parts = [
            vec![frame(&one), frame(&two)],
            vec![frame(&one), skippable(b"index"), frame(&two)],
            vec![
                skippable(b"size"),
                frame(&one),
                skippable(b""),
                frame(b""),
                frame(&two),
            ],
            vec![frame(&whole), skippable(b"index of zstd:chunked")],
        ];
        for parts in parts {
            assert!(read(&parts.concat()).unwrap() == whole, "{}", parts.len());
        }
    }

    #[test]
    fn what_ends_early_or_goes_on_as_something_else_fails() {
        let two = [frame(b"one"), frame(&[b'x'; 1000])].concat();
        assert!(read(&two[..two.len() - 1]).is_err());
        assert!(read(&[frame(b"one"), b"more".to_vec()].concat()).is_err());
        let cut = skippable(b"index");
        assert!(read(&cut[..cut.len() - 1]).is_err());
    }
}
