//! A provider: what is known of it, and what it is asked.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_dial::Dialer;
use bailiwick_model::limits::{
    IDENTITY_PROVIDER_BREATH, IDENTITY_PROVIDER_KNOWN_FOR, IDENTITY_PROVIDER_NEW_KEYS,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use url::Url;
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::attempt::{Answer, Attempt};
use crate::endpoint::{Endpoint, NotAnEndpoint};
use crate::error::{BadToken, NotRedeemed, ProviderError};
use crate::http::{Authorization, Http};
use crate::id_token::{Expected, Identity, Unchecked};
use crate::keys::{self, Keys};
use crate::metadata::{self, Metadata, SecretGoes};

/// What is asked for: who it is, and what they and their address of mail are called.
const SCOPE: &str = "openid email profile";

/// What shows the provider that the client is this server; it is never printed.
#[derive(Clone)]
pub struct ClientSecret(Zeroizing<String>);

/// What the operator agreed on with the provider.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// Its issuer, to the letter.
    pub issuer: String,
    /// What it calls this server.
    pub client_id: String,
    /// Without one, PKCE alone protects the code.
    pub client_secret: Option<ClientSecret>,
    /// Claims that are wanted: what the ID token lacks of them is asked for separately (OpenID Connect Core, section 5.3).
    pub claims: Vec<String>,
}

/// A provider, with what it said of itself lately.
pub struct Provider {
    settings: ProviderSettings,
    discovery: Endpoint,
    http: Http,
    metadata: Mutex<Known<Metadata>>,
    keys: Mutex<Known<Keys>>,
}

/// What was asked for, and when.
struct Known<T> {
    value: Option<(Arc<T>, Instant)>,
    failed: Option<Instant>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    #[serde(flatten)]
    claims: Map<String, Value>,
}

impl ClientSecret {
    /// What was agreed on.
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(…)")
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Provider").field(&self.settings).finish()
    }
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self {
            value: None,
            failed: None,
        }
    }
}

impl<T> Known<T> {
    /// What is known, if it is no older than this.
    fn fresh(&self, most: Duration) -> Option<Arc<T>> {
        let (value, asked) = self.value.as_ref()?;
        (asked.elapsed() < most).then(|| Arc::clone(value))
    }

    /// Asks, unless that failed a moment ago.
    async fn ask(
        &mut self,
        asking: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<Arc<T>, ProviderError> {
        if self
            .failed
            .is_some_and(|failed| failed.elapsed() < IDENTITY_PROVIDER_BREATH)
        {
            return Err(ProviderError::FailedBefore);
        }
        // A client that goes away meanwhile is no failure: it would keep the others from asking.
        let asked = asking.await;
        self.failed = asked.is_err().then(Instant::now);
        let value = Arc::new(asked?);
        self.value = Some((Arc::clone(&value), Instant::now()));
        Ok(value)
    }
}

impl Provider {
    /// A provider that nothing is asked yet.
    ///
    /// # Errors
    ///
    /// [`NotAnEndpoint`] for an issuer that is no URL to ask, and [`ProviderError::Trust`].
    pub fn new(settings: ProviderSettings, dialer: Arc<Dialer>) -> Result<Self, ProviderError> {
        let discovery = Endpoint::parse(&metadata::place(&settings.issuer))?;
        if discovery.url().query().is_some() {
            return Err(NotAnEndpoint::Extras(settings.issuer).into());
        }
        let http = Http::new(dialer)?;
        Ok(Self {
            settings,
            discovery,
            http,
            metadata: Mutex::default(),
            keys: Mutex::default(),
        })
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Where the browser goes.
    ///
    /// # Errors
    ///
    /// [`ProviderError`]: it is asked first where that is.
    pub async fn authorization_url(
        &self,
        attempt: &Attempt,
        redirect_uri: &str,
    ) -> Result<Url, ProviderError> {
        let mut url = self.metadata().await?.authorization.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", SCOPE)
            .append_pair("state", attempt.state())
            .append_pair("nonce", attempt.nonce())
            .append_pair("code_challenge", &attempt.challenge())
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// Who signed in, from what the browser brought back to the attempt that it began; whether it is the same attempt the caller has asked
    /// [`Attempt::is_answered_by`].
    ///
    /// # Errors
    ///
    /// [`NotRedeemed`].
    pub async fn redeem(
        &self,
        answer: &Answer<'_>,
        attempt: &Attempt,
        redirect_uri: &str,
        now: Timestamp,
    ) -> Result<Identity, NotRedeemed> {
        let metadata = self.metadata().await?;
        match answer.issuer {
            Some(issuer) if issuer != self.settings.issuer => return Err(NotRedeemed::OtherIssuer),
            None if metadata.names_itself => return Err(NotRedeemed::OtherIssuer),
            Some(_) | None => {}
        }
        if answer.error.is_some() {
            return Err(NotRedeemed::Declined);
        }
        let code = answer.code.ok_or(NotRedeemed::NoCode)?;
        let tokens = self.tokens(&metadata, code, attempt, redirect_uri).await?;
        let expected = Expected {
            issuer: &self.settings.issuer,
            client: &self.settings.client_id,
            nonce: attempt.nonce(),
            now,
        };
        let mut identity = self
            .identity(&metadata, &tokens.id_token, &expected)
            .await?;
        if let Some(access_token) = tokens.access_token {
            self.complete(&metadata, &access_token, &mut identity)
                .await?;
        }
        Ok(identity)
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        let mut known = self.metadata.lock().await;
        if let Some(metadata) = known.fresh(IDENTITY_PROVIDER_KNOWN_FOR) {
            return Ok(metadata);
        }
        let asking = async {
            let document: metadata::Document =
                self.http.get(&self.discovery, None).await?.json()?;
            document.of(&self.settings.issuer)
        };
        known.ask(asking).await
    }

    /// The issuer's keys, asked for no earlier than `most` ago; anew as soon as that may be if `suffice` says that these do not.
    async fn keys(
        &self,
        metadata: &Metadata,
        suffice: impl Fn(&Keys) -> bool,
    ) -> Result<Arc<Keys>, ProviderError> {
        let mut known = self.keys.lock().await;
        if let Some(keys) = known.fresh(IDENTITY_PROVIDER_KNOWN_FOR)
            && (suffice(&keys) || known.fresh(IDENTITY_PROVIDER_NEW_KEYS).is_some())
        {
            return Ok(keys);
        }
        let asking = async {
            let document: keys::Document = self.http.get(&metadata.keys, None).await?.json()?;
            Ok(Keys::from(document))
        };
        known.ask(asking).await
    }

    async fn tokens(
        &self,
        metadata: &Metadata,
        code: &str,
        attempt: &Attempt,
        redirect_uri: &str,
    ) -> Result<Tokens, NotRedeemed> {
        let grant = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", attempt.verifier()),
        ];
        let (form, authorization) = self.as_client(metadata.secret_goes, &grant);
        let answered = self.http.post(&metadata.token, form, authorization).await?;
        // RFC 6749, section 5.2. That this server is not who it says it is (401) is the operator's to mend.
        if answered.status == StatusCode::BAD_REQUEST {
            return Err(NotRedeemed::CodeRefused);
        }
        Ok(answered.json()?)
    }

    /// A form with what shows who sends it.
    fn as_client(
        &self,
        secret_goes: SecretGoes,
        pairs: &[(&str, &str)],
    ) -> (String, Option<Authorization>) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(pairs);
        let id = &self.settings.client_id;
        let mut authorization = None;
        match (&self.settings.client_secret, secret_goes) {
            (Some(secret), SecretGoes::InHeader) => authorization = Some(basic(id, secret)),
            (Some(secret), SecretGoes::InForm) => {
                form.append_pair("client_id", id)
                    .append_pair("client_secret", &secret.0);
            }
            (None, SecretGoes::InHeader | SecretGoes::InForm) => {
                form.append_pair("client_id", id);
            }
        }
        (form.finish(), authorization)
    }

    async fn identity(
        &self,
        metadata: &Metadata,
        token: &str,
        expected: &Expected<'_>,
    ) -> Result<Identity, NotRedeemed> {
        let unchecked = Unchecked::read(token)?;
        let keys = self
            .keys(metadata, |keys| unchecked.is_signed_with_one_of(keys))
            .await?;
        Ok(unchecked.check(&keys, expected)?)
    }

    /// Asks for the claims that are wanted and that the token does not have.
    async fn complete(
        &self,
        metadata: &Metadata,
        access_token: &str,
        identity: &mut Identity,
    ) -> Result<(), NotRedeemed> {
        let mut wanted = self.settings.claims.iter();
        let has_all = wanted.all(|claim| identity.claims.contains_key(claim));
        let Some(endpoint) = metadata.user_info.as_ref().filter(|_| !has_all) else {
            return Ok(());
        };
        let bearer = HeaderValue::try_from(format!("Bearer {access_token}"));
        let mut bearer = bearer.map_err(|_| BadToken::Malformed)?;
        bearer.set_sensitive(true);
        let answered = self.http.get(endpoint, Some(Authorization(bearer))).await?;
        let said: UserInfo = answered.json()?;
        if said.sub != identity.subject {
            return Err(BadToken::OtherSubject.into());
        }
        // An address and whether it was verified are said together, or not at all.
        let has_email = identity.claims.contains_key("email");
        for (claim, value) in said.claims {
            if has_email && claim == "email_verified" {
                continue;
            }
            identity.claims.entry(claim).or_insert(value);
        }
        Ok(())
    }
}

/// RFC 6749, section 2.3.1: both parts are encoded as in a form before they are put together.
fn basic(id: &str, ClientSecret(secret): &ClientSecret) -> Authorization {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encoded(id), encoded(secret)));
    let value = format!("Basic {}", STANDARD.encode(pair.as_bytes()));
    let mut value = HeaderValue::try_from(value).expect("base64 is ASCII");
    value.set_sensitive(true);
    Authorization(value)
}
