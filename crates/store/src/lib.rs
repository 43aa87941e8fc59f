//! What an organization has, in SQLite or PostgreSQL.
//!
//! Every query about an organization's things goes through a [`Scope`] (to read) or a [`Change`] (to write), and both are made for one
//! organization: there is no way to ask without one. A change ends with [`Change::commit`], which takes the entry of the audit log, so
//! nothing changes without one.
//!
//! The same SQL runs on both databases; what differs is in `dialect`.

mod api_key;
mod audit;
mod change;
mod content;
mod dialect;
mod environment;
mod error;
mod file;
mod identity;
mod organization;
mod page;
mod row;
mod skill;
mod store;

pub use api_key::{ApiKey, KeyOwner, KnownKey, NewApiKey};
pub use audit::{AuditEntry, AuditEvent, AuditHash, BrokenChain};
pub use change::Change;
pub use content::LooseContent;
pub use dialect::{DatabaseUrl, NotADatabaseUrl};
pub use environment::{Environment, EnvironmentValues, NewEnvironment};
pub use error::StoreError;
pub use file::{ExpiredFile, File, NewFile};
pub use identity::{NewMember, NewRole, Role};
pub use organization::{NewOrganization, Organization};
pub use page::{Page, PageRequest};
pub use skill::{NewSkill, NewSkillVersion, Skill, SkillVersion, SkillVersionName};
pub use store::{Scope, Store};
