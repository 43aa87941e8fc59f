//! Answers that are the bytes of a file.

use axum::body::Body;
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use bailiwick_control::Download;
use futures_util::stream;

/// Characters that stand for themselves in a parameter of a header (RFC 8187, section 3.2.1).
const PLAIN: &[u8] = b"!#$&+-.^_`|~";

/// Bytes, a chunk at a time. A browser saves them: what somebody uploaded is never a page of this server. If they are deleted meanwhile, the
/// connection ends before its length is reached.
pub(super) fn answer(
    download: Download,
    media_type: &str,
    filename: &str,
    sha256: &[u8; 32],
) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(download.rest()));
    let unknown = HeaderValue::from_static("application/octet-stream");
    let media_type = HeaderValue::from_str(media_type).unwrap_or(unknown);
    headers.insert(CONTENT_TYPE, media_type);
    let disposition = format!("attachment; filename*=UTF-8''{}", encoded(filename));
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", hex(sha256))) {
        headers.insert(ETAG, tag);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    );
    let chunks = stream::try_unfold(download, |mut download| async move {
        let chunk = download.next().await?;
        Ok::<_, bailiwick_control::ControlError>(chunk.map(|chunk| (chunk, download)))
    });
    (headers, Body::from_stream(chunks)).into_response()
}

/// A hash, as clients compare it.
pub(super) fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() || PLAIN.contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn a_name_cannot_end_its_header() {
        assert_eq!(
            encoded("a b\".txt\r\nx: é"),
            "a%20b%22.txt%0D%0Ax%3A%20%C3%A9"
        );
    }
}
