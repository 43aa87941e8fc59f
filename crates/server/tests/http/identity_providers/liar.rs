//! An identity provider that speaks the protocol, and lies as it is told.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Json, Redirect, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

pub(super) const SECRET: &str = "client secret: with/odd&signs";

/// The provider.
#[derive(Clone)]
pub(super) struct Liar {
    pub(super) issuer: String,
    known: Arc<Mutex<Known>>,
}

struct Known {
    key: Key,
    /// What codes stand for.
    codes: HashMap<String, Grant>,
    counts: HashMap<&'static str, usize>,
    /// What replaces parts of its own document.
    document: Value,
    user_info: Value,
}

/// What a code stands for.
#[derive(Clone)]
struct Grant {
    challenge: String,
    redirect_uri: String,
    lie: Lie,
    claims: Value,
}

/// How an ID token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// As it should be.
    Nothing,
    /// Not at all.
    Unsigned,
    /// With the public key as a secret.
    PublicKeyAsSecret,
    /// With a key that is not published.
    OtherKey,
    /// The token endpoint sends the client elsewhere.
    Redirection,
    /// The token endpoint answers without end.
    Endless,
}

struct Key {
    pair: EcdsaKeyPair,
    id: String,
}

impl Key {
    fn new(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self {
            pair: pair.expect("a key"),
            id: id.to_owned(),
        }
    }

    fn public(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let coordinate = |range| URL_SAFE_NO_PAD.encode(&point[range]);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": coordinate(1..33), "y": coordinate(33..65)})
    }

    fn token(&self, claims: &Value, lie: Lie) -> String {
        let algorithm = match lie {
            Lie::Nothing | Lie::OtherKey | Lie::Redirection | Lie::Endless => "ES256",
            Lie::Unsigned => "none",
            Lie::PublicKeyAsSecret => "HS256",
        };
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(&json!({"alg": algorithm, "kid": self.id}));
        let message = format!("{head}.{}", part(claims));
        let sign = |pair: &EcdsaKeyPair| {
            let signed = pair.sign(&SystemRandom::new(), message.as_bytes());
            URL_SAFE_NO_PAD.encode(signed.expect("a signature"))
        };
        let signature = match lie {
            Lie::Nothing | Lie::Redirection | Lie::Endless => sign(&self.pair),
            Lie::OtherKey => sign(&Key::new("other").pair),
            Lie::Unsigned => String::new(),
            Lie::PublicKeyAsSecret => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.pair.public_key().as_ref());
                URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()))
            }
        };
        format!("{message}.{signature}")
    }
}

impl Liar {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let liar = Self {
            issuer: format!("http://{address}"),
            known: Arc::new(Mutex::new(Known {
                key: Key::new("one"),
                codes: HashMap::new(),
                counts: HashMap::new(),
                document: json!({}),
                user_info: json!({"sub": "ann"}),
            })),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/me", get(user_info))
            .with_state(liar.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        liar
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no panic")
    }

    fn count(&self, what: &'static str) {
        *self.known().counts.entry(what).or_default() += 1;
    }

    /// How often something was asked.
    pub(super) fn asked(&self, what: &str) -> usize {
        self.known().counts.get(what).copied().unwrap_or_default()
    }

    /// Has another key from now on.
    pub(super) fn rotate(&self, id: &str) {
        self.known().key = Key::new(id);
    }

    /// Says something else of itself.
    pub(super) fn says(&self, field: &str, value: Value) {
        self.known().document[field] = value;
    }

    pub(super) fn user_info(&self, value: Value) {
        self.known().user_info = value;
    }

    /// Whoever is at this page of its own signs in, and this is what their token will say: the right claims, with these instead.
    pub(super) fn code(&self, location: &str, instead: &Value, lie: Lie) -> String {
        let url = reqwest::Url::parse(location).expect("a URL");
        let parameters: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(parameters["code_challenge_method"], "S256");
        let now = i64::try_from(
            std::time::UNIX_EPOCH
                .elapsed()
                .expect("later than 1970")
                .as_secs(),
        )
        .expect("seconds");
        let mut claims = json!({
            "iss": self.issuer, "aud": parameters["client_id"], "sub": "ann", "nonce": parameters["nonce"],
            "iat": now, "exp": now + 300, "email": "ann@example.com", "email_verified": true, "name": "Ann",
        });
        for (claim, value) in instead.as_object().expect("an object") {
            let is_moment = claim == "exp" || claim == "iat";
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(claim);
            } else if let Some(ago) = value.as_i64().filter(|_| is_moment) {
                claims[claim] = json!(now + ago);
            } else {
                claims[claim] = value.clone();
            }
        }
        let code = format!("code{}", self.known().codes.len());
        let grant = Grant {
            challenge: parameters["code_challenge"].clone(),
            redirect_uri: parameters["redirect_uri"].clone(),
            lie,
            claims,
        };
        self.known().codes.insert(code.clone(), grant);
        code
    }
}

async fn document(State(liar): State<Liar>) -> Json<Value> {
    liar.count("document");
    let issuer = &liar.issuer;
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize?tenant=1"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "userinfo_endpoint": format!("{issuer}/me"),
    });
    for (field, value) in liar.known().document.as_object().unwrap() {
        document[field] = value.clone();
    }
    Json(document)
}

async fn keys(State(liar): State<Liar>) -> Json<Value> {
    liar.count("keys");
    let public = liar.known().key.public();
    Json(json!({"keys": [{"kty": "future"}, public]}))
}

async fn user_info(State(liar): State<Liar>, headers: HeaderMap) -> Response {
    liar.count("user info");
    if headers["authorization"] != "Bearer opaque" {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Json(liar.known().user_info.clone()).into_response()
}

/// Codes can be used again and again here: it is a liar.
async fn token(State(liar): State<Liar>, headers: HeaderMap, body: String) -> Response {
    liar.count("token");
    let form = reqwest::Url::parse(&format!("http://x/?{body}")).expect("a form");
    let form: HashMap<_, _> = form.query_pairs().into_owned().collect();
    let encoded = "client+secret%3A+with%2Fodd%26signs";
    let basic = format!("Basic {}", STANDARD.encode(format!("bailiwick:{encoded}")));
    let shows_secret = match headers.get("authorization") {
        Some(header) => header == basic.as_str(),
        None => form.get("client_secret").is_some_and(|one| one == SECRET),
    };
    if !shows_secret {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let grant = liar.known().codes.get(&form["code"]).cloned();
    let verifier = digest(&SHA256, form["code_verifier"].as_bytes());
    let fits = |grant: &Grant| {
        grant.challenge == URL_SAFE_NO_PAD.encode(verifier)
            && grant.redirect_uri == form["redirect_uri"]
    };
    let Some(grant) = grant.filter(fits) else {
        let error = Json(json!({"error": "invalid_grant"}));
        return (StatusCode::BAD_REQUEST, error).into_response();
    };
    match grant.lie {
        Lie::Redirection => return Redirect::temporary("/elsewhere").into_response(),
        Lie::Endless => return "x".repeat(4 << 20).into_response(),
        Lie::Nothing | Lie::Unsigned | Lie::PublicKeyAsSecret | Lie::OtherKey => {}
    }
    let token = liar.known().key.token(&grant.claims, grant.lie);
    Json(json!({"token_type": "Bearer", "access_token": "opaque", "id_token": token}))
        .into_response()
}
