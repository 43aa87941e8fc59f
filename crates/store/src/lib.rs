//! What an organization has, in SQLite or PostgreSQL.
//!
//! Every query about an organization's things goes through a [`Scope`] (to read) or a [`Change`] (to write), and both are made for one
//! organization: there is no way to ask without one. A change ends with [`Change::commit`], which takes the entry of the audit log, so
//! nothing changes without one.
//!
//! The same SQL runs on both databases; what differs is in `dialect`.

mod api_key;
mod audit;
mod backup;
mod change;
mod dialect;
mod environment;
mod error;
mod identity;
mod organization;
mod page;
mod row;
mod store;

pub use api_key::{ApiKey, KeyOwner, KnownKey, NewApiKey};
pub use audit::{AuditChain, AuditEntry, AuditEvent, AuditHash, BrokenChain};
pub use backup::{check_copy, copy_database};
pub use change::Change;
pub use dialect::{DatabaseUrl, NotADatabaseUrl};
pub use environment::{Environment, EnvironmentValues, NewEnvironment};
pub use error::StoreError;
pub use identity::{NewMember, NewRole, Role};
pub use organization::{NewOrganization, Organization};
pub use page::{Page, PageRequest};
pub use store::{Scope, Store};
