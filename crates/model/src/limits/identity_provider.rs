//! Bounds of signing in at identity providers.

use std::time::Duration;

/// How long somebody may take to sign in at an identity provider.
pub const SIGN_IN_ATTEMPT: Duration = Duration::from_secs(10 * 60);
/// How far an identity provider's clock may be from this one.
pub const ID_TOKEN_SKEW: Duration = Duration::from_secs(60);
/// How long one request to an identity provider may take.
pub const IDENTITY_PROVIDER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer of an identity provider.
pub const IDENTITY_PROVIDER_ANSWER_BYTES: usize = 256 * 1024;
/// Requests to one identity provider at once.
pub const IDENTITY_PROVIDER_REQUESTS: usize = 16;
/// Keys of one identity provider.
pub const IDENTITY_PROVIDER_KEYS: usize = 100;
/// How long it is believed what an identity provider says of itself, and that its keys are its keys.
pub const IDENTITY_PROVIDER_KNOWN_FOR: Duration = Duration::from_secs(60 * 60);
/// How often an identity provider is asked for new keys at most, when a token is signed with one that is not known.
pub const IDENTITY_PROVIDER_NEW_KEYS: Duration = Duration::from_secs(10);
/// How long an identity provider is left alone that did not say what it is.
pub const IDENTITY_PROVIDER_BREATH: Duration = Duration::from_secs(2);
/// Identity providers of one server.
pub const IDENTITY_PROVIDERS: usize = 32;
