//! Forms with files (multipart/form-data, RFC 7578), part by part, with bounds on memory and time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest as _, Multipart, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use bailiwick_control::ControlError;
use bailiwick_model::limits::{FORM_FIELD_BYTES, FORM_HELD_BYTES, UPLOAD_SILENCE};
use bailiwick_wire::FieldProblem;
use futures_util::{Stream, ready};

use crate::failure::Failure;

/// After so many bytes the reader of the form gets its turn.
const TURN_BYTES: usize = 256 * 1024;

/// A form that is arriving.
pub(super) struct Form {
    parts: Multipart,
    held: Arc<AtomicUsize>,
}

/// One part of it.
pub(super) struct Part<'a> {
    field: Field<'a>,
    held: Arc<AtomicUsize>,
}

/// The library keeps whatever arrives until it has found the beginning or the end of a part's header, however long that takes. Here is counted what
/// arrived since it last gave something away, and beyond a bound nothing more arrives.
struct Guarded {
    body: BodyDataStream,
    held: Arc<AtomicUsize>,
    turn: usize,
}

/// A part's header, or what stands before the first part, does not end.
#[derive(Debug, thiserror::Error)]
#[error("more than {FORM_HELD_BYTES} bytes without the end of a part's header")]
struct Endless;

impl Stream for Guarded {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.held.load(Ordering::Relaxed) > FORM_HELD_BYTES {
            return Poll::Ready(Some(Err(Endless.into())));
        }
        if self.turn >= TURN_BYTES {
            self.turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match ready!(Pin::new(&mut self.body).poll_next(context)) {
            Some(Ok(bytes)) => {
                self.turn += bytes.len();
                self.held.fetch_add(bytes.len(), Ordering::Relaxed);
                Poll::Ready(Some(Ok(bytes)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            None => Poll::Ready(None),
        }
    }
}

impl Form {
    /// Begins to read a body. What says that it is too long is refused before it is read.
    pub(super) async fn of(request: Request, most_bytes: u64) -> Result<Self, Failure> {
        let length = request.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > most_bytes) {
            return Err(Failure::TooLarge);
        }
        let held = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&held);
        let request = request.map(|body| {
            Body::from_stream(Guarded {
                body: body.into_data_stream(),
                held: counter,
                turn: 0,
            })
        });
        match Multipart::from_request(request, &()).await {
            Ok(parts) => Ok(Self { parts, held }),
            Err(rejection) => Err(Failure::NotForm(rejection.body_text())),
        }
    }

    /// The next part; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Part<'_>>, Failure> {
        let next = tokio::time::timeout(UPLOAD_SILENCE, self.parts.next_field()).await;
        let next = next.map_err(|_| Failure::Slow)?;
        self.held.store(0, Ordering::Relaxed);
        let field = next.map_err(|error| refused(&error))?;
        Ok(field.map(|field| Part {
            field,
            held: Arc::clone(&self.held),
        }))
    }
}

impl Part<'_> {
    /// What it is called.
    pub(super) fn name(&self) -> String {
        self.field.name().unwrap_or_default().to_owned()
    }

    /// The name of the file in it.
    pub(super) fn file_name(&self) -> Option<String> {
        self.field.file_name().map(str::to_owned)
    }

    /// The media type that it states.
    pub(super) fn media_type(&self) -> Option<String> {
        self.field.content_type().map(str::to_owned)
    }

    /// Some of its bytes; none at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let chunk = tokio::time::timeout(UPLOAD_SILENCE, self.field.chunk()).await;
        let chunk = chunk.map_err(|_| Failure::Slow)?;
        self.held.store(0, Ordering::Relaxed);
        chunk.map_err(|error| refused(&error))
    }

    /// All of its bytes, added to others; nothing if there would be more than `most`.
    pub(super) async fn read_to(
        &mut self,
        bytes: &mut Vec<u8>,
        most: usize,
    ) -> Result<(), Failure> {
        while let Some(chunk) = self.chunk().await? {
            if chunk.len() > most - bytes.len() {
                return Err(Failure::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(())
    }

    /// A small field's text.
    pub(super) async fn text(&mut self) -> Result<String, Failure> {
        let mut bytes = Vec::new();
        self.read_to(&mut bytes, FORM_FIELD_BYTES).await?;
        let name = self.name();
        String::from_utf8(bytes).map_err(|_| problem(&name, "wrong_type", "is not UTF-8"))
    }
}

fn refused(error: &MultipartError) -> Failure {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Failure::TooLarge
    } else {
        Failure::NotForm(error.body_text())
    }
}

/// What is wrong with a field of a form.
pub(super) fn problem(field: &str, code: &'static str, message: &str) -> Failure {
    let help = match code {
        "unknown_field" => "leave it out",
        "duplicate" => "send it once",
        "missing_field" => "send it",
        _ => "see the API's description",
    };
    ControlError::Invalid(vec![FieldProblem {
        field: field.chars().take(FORM_FIELD_BYTES).collect(),
        code,
        message: message.to_owned(),
        help: help.to_owned(),
    }])
    .into()
}
