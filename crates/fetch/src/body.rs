//! Bodies, bounded twice: as they come, and once their content encoding is taken off.

use std::io::{self, Write};

use bailiwick_outbound::Body;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::Body as _;
use hyper::header::CONTENT_ENCODING;

use crate::FetchError;
use crate::brotli::BrotliDecoder;

/// The content encodings that [`read_body`] takes off, as `Accept-Encoding` has them. Each is one pass; the window is 32 KiB, of brotli at most 16 MiB, whatever a server sends.
pub const ACCEPTED_ENCODINGS: &str = "gzip, deflate, br";

/// Takes at most so many bytes.
struct Capped {
    bytes: Vec<u8>,
    most: usize,
    is_over: bool,
}

/// What takes an encoding off.
enum Decoder {
    Identity(Capped),
    Gzip(MultiGzDecoder<Capped>),
    Deflate(ZlibDecoder<Capped>),
    Brotli(BrotliDecoder<Capped>),
}

/// Reads a body to its end, without its content encoding; at most so many bytes, before and after that is taken off. For how long it is waited for is
/// the caller's to say.
///
/// # Errors
///
/// [`FetchError::TooLarge`], [`FetchError::Encoding`], [`FetchError::Http`].
pub async fn read_body(
    headers: &HeaderMap,
    mut body: Body,
    most: usize,
) -> Result<Vec<u8>, FetchError> {
    let mut decoder = Decoder::of(headers, most)?;
    let announced = body.size_hint().lower();
    if announced > u64::try_from(most).unwrap_or(u64::MAX) {
        return Err(FetchError::TooLarge(most));
    }
    let mut left = most;
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        left = left
            .checked_sub(data.len())
            .ok_or(FetchError::TooLarge(most))?;
        decoder.push(data)?;
    }
    decoder.finish()
}

impl Decoder {
    fn of(headers: &HeaderMap, most: usize) -> Result<Self, FetchError> {
        let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
        let encoding = encodings.next().map(|value| value.to_str().unwrap_or("?"));
        // One inside another is what bombs are made of, and was not offered.
        if encodings.next().is_some() {
            return Err(FetchError::Encoding);
        }
        let into = Capped {
            bytes: Vec::new(),
            most,
            is_over: false,
        };
        let encoding = encoding.unwrap_or_default().trim().to_ascii_lowercase();
        match encoding.as_str() {
            "" | "identity" => Ok(Self::Identity(into)),
            "gzip" | "x-gzip" => Ok(Self::Gzip(MultiGzDecoder::new(into))),
            "deflate" => Ok(Self::Deflate(ZlibDecoder::new(into))),
            "br" => Ok(Self::Brotli(BrotliDecoder::new(into))),
            _ => Err(FetchError::Encoding),
        }
    }

    fn push(&mut self, data: &[u8]) -> Result<(), FetchError> {
        let done = match self {
            Self::Identity(into) => into.write_all(data),
            Self::Gzip(decoder) => decoder.write_all(data),
            Self::Deflate(decoder) => decoder.write_all(data),
            Self::Brotli(decoder) => decoder.write_all(data),
        };
        done.map_err(|_| self.why())
    }

    /// What was pushed, if that was all of it.
    fn finish(mut self) -> Result<Vec<u8>, FetchError> {
        let done = match &mut self {
            Self::Identity(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Deflate(decoder) => decoder.try_finish(),
            Self::Brotli(decoder) => decoder.try_finish(),
        };
        if done.is_err() {
            return Err(self.why());
        }
        Ok(match self {
            Self::Identity(mut into) => std::mem::take(&mut into.bytes),
            Self::Gzip(mut decoder) => std::mem::take(&mut decoder.get_mut().bytes),
            Self::Deflate(mut decoder) => std::mem::take(&mut decoder.get_mut().bytes),
            Self::Brotli(mut decoder) => std::mem::take(&mut decoder.get_mut().bytes),
        })
    }

    fn why(&self) -> FetchError {
        let into = match self {
            Self::Identity(into) => into,
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Deflate(decoder) => decoder.get_ref(),
            Self::Brotli(decoder) => decoder.get_ref(),
        };
        if into.is_over {
            FetchError::TooLarge(into.most)
        } else {
            FetchError::Encoding
        }
    }
}

impl Write for Capped {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if data.len() > self.most - self.bytes.len() {
            self.is_over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
