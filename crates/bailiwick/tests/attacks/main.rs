//! Attempts to get out of a sandbox, each beside a control: the same probe where it must succeed.
//!
//! The attacker's tools are `probe/prelude.py`, run by the machine's own Python, and curl. Every case runs as each user whom
//! [`support::everyone`] finds: as root and as an ordinary user. Nothing here reaches another machine: what is allowed leads to servers
//! of the test, and what is denied is denied before it is dialled.
//!
//! `SECURITY.md` maps every claim of the project to a test in this binary.

mod support;

mod bases;
mod credentials;
mod dns;
mod filesystem;
mod greedy_builds;
mod host_files;
mod http;
mod images;
mod kernel;
mod killed_builds;
mod lifecycle;
mod names;
mod neighbours;
mod network;
mod policy_changes;
mod projects;
mod resources;
mod rights;
mod streams;
mod terminal;
mod tls;
