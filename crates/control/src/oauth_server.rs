//! The authorization server of MCP gateways (OAuth 2.1): what programs say of themselves, what people let them do, and the tokens that come of it.
//!
//! Nothing is stored before a person who is signed in has agreed: the id of a program is what it said of itself, sealed. So nobody fills the
//! database who has not signed in. All that is stored of one agreement is one row, however often its tokens are replaced.

mod address;
mod agreeing;
mod clients;
mod documents;
mod grants;
mod tokens;

pub use address::GatewayAddress;
pub(crate) use agreeing::after;
pub use agreeing::{AuthorizationQuestion, AuthorizationRefusal, AuthorizationRequest};
pub(crate) use clients::Registrations;
pub use clients::{ClientProblem, NewClientRequest, RegisteredClient};
pub use grants::OauthGrantView;
pub(crate) use tokens::is_same;
pub use tokens::{GatewayToken, IssuedTokens, OauthTokenError, Redemption, Refreshment};
