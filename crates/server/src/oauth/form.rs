//! Parameters as forms and queries have them.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use url::form_urlencoded;

use super::whole;

/// More than any request has.
const PARAMETERS: usize = 32;

/// Parameters, each once: one that comes twice could be read in two ways (RFC 6749, section 3.1). What has no value is as if it were not there.
#[derive(Debug, Default)]
pub(super) struct Parameters(BTreeMap<String, String>);

/// Why there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotParameters {
    /// One comes twice.
    #[error("a parameter is there twice")]
    Twice,
    /// More than any request has.
    #[error("there are too many parameters")]
    TooMany,
    /// It is no form, too long a one, or came too slowly.
    #[error("the body is no form (application/x-www-form-urlencoded) that can be read")]
    NotForm,
}

impl Parameters {
    pub(super) fn read(text: &[u8]) -> Result<Self, NotParameters> {
        let mut all = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text) {
            if all.len() == PARAMETERS {
                return Err(NotParameters::TooMany);
            }
            if all.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(NotParameters::Twice);
            }
        }
        all.retain(|_, value| !value.is_empty());
        Ok(Self(all))
    }

    /// Those of a body.
    pub(super) async fn of(headers: &HeaderMap, body: Body) -> Result<Self, NotParameters> {
        let kind = headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
        let is_form =
            kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        if !is_form {
            return Err(NotParameters::NotForm);
        }
        let body = whole(body).await.ok_or(NotParameters::NotForm)?;
        Self::read(&body)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_comes_twice_is_refused() {
        let read = |text: &str| Parameters::read(text.as_bytes());
        assert_eq!(read("a=1&b=%20").unwrap().get("b"), Some(" "));
        assert_eq!(read("a=").unwrap().get("a"), None);
        assert_eq!(read("a=1&a=1").unwrap_err(), NotParameters::Twice);
        assert_eq!(read("a=1&%61=2").unwrap_err(), NotParameters::Twice);
        let many: String = (0..40).map(|number| format!("p{number}=1&")).collect();
        assert_eq!(read(&many).unwrap_err(), NotParameters::TooMany);
    }
}
