//! The policy core: which destinations an environment may reach, and why.
//!
//! Data in, decision out. This crate does no I/O, awaits nothing, reads no clock and keeps no state; what only the host
//! knows comes in as [`HostFacts`]. It is the only matcher of the product: resolver, relay, dialler, `policy check` and the
//! hints of the summary all ask [`Policy`].
//!
//! What it must never do: allow a destination because something is missing, empty or unreadable.
//!
//! Entry points: [`Policy::compile`], [`Projections`], [`Policy::decide`], [`Policy::decide_resolved`], [`parse_destination`],
//! [`HostPattern`], [`CidrRule`].

mod cidr;
mod destination;
mod diff;
mod egress;
mod forms;
mod host;
mod list;
mod pattern;
mod pins;
mod policy;
mod ports;
mod preset;
mod projection;
mod registry;
mod rule;
mod suggest;
mod table;
mod text;

pub use cidr::{CidrRule, CidrRuleError};
pub use destination::{DestinationError, parse_destination};
pub use diff::{Difference, DifferenceRow, Scope, diff};
pub use egress::{
    EffectivePolicy, EgressPolicy, HostFacts, Mode, OrganizationFloor, SessionGrants, Uncompiled,
    effective,
};
pub use host::{HostError, normalise_host};
pub use list::ListEntry;
pub use pattern::{HostPattern, HostPatternError, HostPatternWarning};
pub use pins::{Pin, PinError, Pins};
pub use policy::{HOST_SERVICE, Policy};
pub use ports::{Ports, PortsError};
pub use preset::{Preset, UnknownPreset};
pub use projection::{
    CredentialHost, CredentialHostError, CredentialHosts, FieldName, FieldNameError, HeaderFields,
    HeaderProjection, InForce, PathPrefix, PathPrefixError, Placeholder, PlaceholderError,
    PlaceholderProjection, Projections,
};
pub use registry::{registries, session_registries};
pub use rule::{Matcher, Origin, Rule, Ruling};
pub use suggest::{Suggestion, Unopenable, Unopened, suggest};
