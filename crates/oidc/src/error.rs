//! Why nobody signed in.

use bailiwick_outbound::{NotTrusted, OutboundError};

use crate::endpoint::NotAnEndpoint;

/// The provider did not do its part; nothing is known of who would sign in.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It cannot be reached, its certificate is not one that this machine trusts, it does not speak HTTP, or took too long.
    #[error("the identity provider cannot be asked")]
    Outbound(#[from] OutboundError),
    /// Certificates of authorities of this machine could not be read.
    #[error("cannot check certificates on this machine")]
    Trust(#[from] NotTrusted),
    /// It answered with another status than 200. A redirection is not followed.
    #[error("the identity provider answered {0}")]
    Status(u16),
    /// Its answer has too many bytes, broke off, or did not end in time.
    #[error("the answer of the identity provider is too large, broke off, or did not end in time")]
    Body,
    /// Its answer is not JSON of the right form.
    #[error("the answer of the identity provider is not what it should be")]
    Form(#[source] serde_json::Error),
    /// Its own document names another issuer than the one that was configured.
    #[error("the document of the identity provider is of another issuer, {0:?}")]
    OtherIssuer(String),
    /// A URL in its own document cannot be used.
    #[error("the document of the identity provider has a URL that cannot be used")]
    Endpoint(#[from] NotAnEndpoint),
    /// It failed a moment ago, and is not asked again so soon.
    #[error("the identity provider did not answer a moment ago; it is asked again in some seconds")]
    FailedBefore,
    /// Too many are being asked for.
    #[error("too many sign-ins are waiting for the identity provider")]
    Busy,
}

/// Why the browser's answer makes no identity.
#[derive(Debug, thiserror::Error)]
pub enum NotRedeemed {
    /// See [`ProviderError`].
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The provider says that they did not sign in.
    #[error("the identity provider did not sign them in")]
    Declined,
    /// There is no code in the answer.
    #[error("the answer has no code")]
    NoCode,
    /// Another provider than the one that was asked answered.
    #[error("another issuer answered than the one that was asked")]
    OtherIssuer,
    /// The provider does not take the code.
    #[error("the identity provider does not take the code")]
    CodeRefused,
    /// The ID token is none that can be taken.
    #[error(transparent)]
    Token(#[from] BadToken),
}

/// Why an ID token is not taken (OpenID Connect Core, section 3.1.3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It is no JSON Web Token that is signed.
    #[error("the ID token cannot be read")]
    Malformed,
    /// It is signed with an algorithm that is not on the list: with none, or with a secret.
    #[error("the ID token is signed with an algorithm that is not taken")]
    Algorithm,
    /// Something in its head must be understood, and is not.
    #[error("the ID token has a critical extension that is not known")]
    Critical,
    /// None of the issuer's keys fits.
    #[error("the ID token is signed with a key that the issuer does not have")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the signature of the ID token is wrong")]
    Signature,
    /// It is of another issuer.
    #[error("the ID token is of another issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("the ID token is for another client")]
    Audience,
    /// It was asked for by somebody else.
    #[error("the ID token was asked for by another client")]
    AuthorizedParty,
    /// Its time is over.
    #[error("the ID token has expired")]
    Expired,
    /// It is of the future, or much older than the attempt.
    #[error("the ID token was not issued just now")]
    IssuedAt,
    /// It is of another attempt.
    #[error("the ID token is of another attempt to sign in")]
    Nonce,
    /// It names nobody.
    #[error("the ID token names nobody")]
    Subject,
    /// What the provider says besides is about somebody else.
    #[error("the identity provider answered about somebody else")]
    OtherSubject,
}
