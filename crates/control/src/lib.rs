//! What can be done in an organization, by whom: use cases, authentication and authorization.
//!
//! Every use case takes a [`Caller`], who was authenticated, checks what they may do first, works on their organization alone, and ends
//! with an entry in the audit log. Whether a thing is another organization's or does not exist at all cannot be told apart.

mod audit_log;
mod authentication;
mod bootstrap;
mod caller;
mod clock;
mod control;
mod environments;
mod error;
mod failures;
mod fresh;
mod keys;
mod organizations;

pub use authentication::Credentials;
pub use bootstrap::{Bootstrap, Bootstrapped};
pub use caller::{Actor, Caller};
pub use control::Control;
pub use environments::{
    EffectivePolicy, EnvironmentChange, EnvironmentView, NewEnvironmentRequest,
};
pub use error::ControlError;
pub use fresh::fresh_request_id;
pub use keys::{MadeKey, NewKeyRequest};
pub use organizations::{OrganizationView, PoliciesChange};
