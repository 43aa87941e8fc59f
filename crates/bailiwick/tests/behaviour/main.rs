//! What `bailiwick run` does, as facts: a command in an environment behaves as it does without one, but for what it can reach.
//!
//! Every case runs as each user whom [`support::everyone`] finds. What is blocked is the business of the binary `attacks`.

mod support;

mod exit_codes;
mod files;
mod interactive;
mod limits;
mod options;
mod protected;
mod running;
mod signals;
mod streams;
mod upstream_proxy;
