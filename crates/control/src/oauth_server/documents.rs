//! Programs whose id is the address of a document about them (OAuth Client ID Metadata Documents).
//!
//! The document is asked for only once somebody has signed in, under the policy that their organization has for what credentials name.

use bailiwick_mcp::fetch_document;
use serde::Deserialize;
use url::Url;

use super::clients::{Client, redirect_uris, visible};
use crate::caller::Caller;
use crate::control::Control;
use crate::error::ControlError;
use crate::fresh;

/// What of a document is read.
#[derive(Deserialize)]
struct Document {
    client_id: String,
    client_name: Option<String>,
    redirect_uris: Vec<String>,
    token_endpoint_auth_method: Option<String>,
}

impl Control {
    /// The program that a document is about; `None` if there is none that can be used.
    pub(super) async fn documented_client(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<Option<Client>, ControlError> {
        let Some(url) = address(id) else {
            return Ok(None);
        };
        let Some((outbound, policy)) = self.way_out(caller).await? else {
            return Ok(None);
        };
        let _turn = self.validations.wait(&caller.organization).await;
        let fetched = fetch_document(&outbound, &policy, &url).await;
        let document: Option<Document> = match fetched {
            Ok(document) => serde_json::from_value(document).ok(),
            Err(error) => {
                tracing::info!(
                    error = &error as &dyn std::error::Error,
                    "no document about a client"
                );
                None
            }
        };
        Ok(document.and_then(|document| document.client(id, &url)))
    }
}

impl Document {
    fn client(self, id: &str, url: &Url) -> Option<Client> {
        let method = self.token_endpoint_auth_method.as_deref();
        let is_public = method.is_none_or(|method| method == "none");
        if self.client_id != id || !is_public {
            return None;
        }
        Some(Client {
            hash: fresh::hash(id),
            name: visible(self.client_name.as_deref().unwrap_or_default()),
            redirect_uris: redirect_uris(&self.redirect_uris).ok()?,
            vouched_by: url.host_str().map(str::to_owned),
        })
    }
}

/// The address of a document: over TLS, with a path, and written in one way only.
fn address(id: &str) -> Option<Url> {
    let url = Url::parse(id).ok()?;
    let fits = url.scheme() == "https"
        && url.as_str() == id
        && url.path() != "/"
        && url.fragment().is_none()
        && url.query().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    fits.then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_document_is_written_in_one_way() {
        assert!(address("https://app.example.com/client.json").is_some());
        for bad in [
            "http://app.example.com/client.json",
            "https://app.example.com/",
            "https://app.example.com",
            "https://app.example.com/a/../b",
            "https://u@app.example.com/c",
            "https://app.example.com/c#f",
            "https://app.example.com/c?q",
            "HTTPS://app.example.com/c",
        ] {
            assert!(address(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_document_speaks_for_its_own_address_alone() {
        let url = address("https://app.example.com/c").unwrap();
        let read = |text: &str| {
            let document: Document = serde_json::from_str(text).unwrap();
            document.client(url.as_str(), &url)
        };
        let good = r#"{"client_id": "https://app.example.com/c", "redirect_uris": ["https://app.example.com/cb"]}"#;
        assert_eq!(
            read(good).unwrap().vouched_by.as_deref(),
            Some("app.example.com")
        );
        assert!(read(&good.replace("com/c\"", "com/d\"")).is_none());
        assert!(read(&good.replace("https://app.example.com/cb", "javascript:x")).is_none());
        let secret = good.replace('{', r#"{"token_endpoint_auth_method": "private_key_jwt", "#);
        assert!(read(&secret).is_none());
    }
}
