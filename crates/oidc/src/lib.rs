//! Signing in at an identity provider: OpenID Connect, the authorization code flow with PKCE.
//!
//! Values in, values out: an [`Attempt`] is kept by whoever begins one, and a [`Provider`] makes of the browser's [`Answer`] an
//! [`Identity`] or says why not. What it must never do: take a token that it did not check against keys that it fetched from the issuer
//! itself, take an algorithm from the token that is not on its own list, follow a redirection, or speak plain HTTP with another machine.
//!
//! Entry points: [`Provider::authorization_url`], [`Provider::redeem`].

mod attempt;
mod endpoint;
mod error;
mod http;
mod id_token;
mod keys;
mod metadata;
mod provider;

pub use attempt::{Answer, Attempt};
pub use endpoint::NotAnEndpoint;
pub use error::{BadToken, NotRedeemed, ProviderError};
pub use id_token::Identity;
pub use provider::{ClientSecret, Provider, ProviderSettings};
