//! Forms with files, as clients send them.

use reqwest::Method;

use crate::{Answer, Server, answer};

const BOUNDARY: &str = "a-boundary-that-is-in-no-file";

/// One part: the parameters of its disposition, its media type, and its bytes.
pub(crate) struct Part<'a> {
    pub(crate) disposition: String,
    pub(crate) media_type: Option<&'a str>,
    pub(crate) bytes: &'a [u8],
}

pub(crate) fn file<'a>(name: &str, filename: &str, bytes: &'a [u8]) -> Part<'a> {
    Part {
        disposition: format!("name=\"{name}\"; filename=\"{filename}\""),
        media_type: Some("text/plain"),
        bytes,
    }
}

pub(crate) fn field<'a>(name: &str, value: &'a str) -> Part<'a> {
    Part {
        disposition: format!("name=\"{name}\""),
        media_type: None,
        bytes: value.as_bytes(),
    }
}

pub(crate) fn content_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

pub(crate) fn body(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        let media_type = part.media_type.map(|t| format!("content-type: {t}\r\n"));
        let head = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; {}\r\n{}\r\n",
            part.disposition,
            media_type.unwrap_or_default()
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(part.bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

impl Server {
    pub(crate) fn form(
        &self,
        key: &str,
        path: &str,
        parts: &[Part<'_>],
    ) -> reqwest::RequestBuilder {
        self.request(Method::POST, path)
            .header("x-api-key", key)
            .header("content-type", content_type())
            .body(body(parts))
    }

    pub(crate) async fn send_form(&self, path: &str, parts: &[Part<'_>]) -> Answer {
        answer(self.form(&self.key, path, parts)).await
    }

    /// The bytes at a path, and what was said about them.
    pub(crate) async fn bytes(&self, path: &str) -> (reqwest::header::HeaderMap, Vec<u8>) {
        let request = self.request(Method::GET, path);
        let response = request
            .header("x-api-key", &self.key)
            .send()
            .await
            .expect("an answer");
        assert!(response.status().is_success(), "{response:?}");
        let headers = response.headers().clone();
        (headers, response.bytes().await.expect("bytes").to_vec())
    }
}
