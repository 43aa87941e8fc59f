//! A real identity provider.

use std::net::SocketAddr;

use serde_json::Value;

use super::LOOPBACK;
use crate::Sdk;
use crate::process::Child;

const SCRIPT: &str = include_str!("../../data/identity_provider.mjs");
const VERSION: &str = "8.8.1";

/// An OpenID Connect provider on 127.0.0.1, without TLS, with one client: `bailiwick`. Whoever signs in as NAME, with any password, is
/// `NAME@example.com`; the address of `unverified…` is not verified, and `outside…` is not in the group `bailiwick`.
#[derive(Debug)]
pub struct IdentityProvider {
    _process: Child,
    address: SocketAddr,
}

impl IdentityProvider {
    /// Sends browsers back to `redirect_uri` alone, and gives tokens to whoever shows `secret`.
    pub fn start(redirect_uri: &str, secret: &str) -> Self {
        let mut node = Sdk::identity_provider(VERSION).command(SCRIPT);
        node.args([redirect_uri, secret]);
        let process = Child::start_helper(&mut node);
        let port = process.wait_for("the provider's port", |line| {
            serde_json::from_str::<Value>(line).ok()?["port"].as_u64()
        });
        let port = u16::try_from(port).expect("a port");
        Self {
            _process: process,
            address: SocketAddr::new(LOOPBACK, port),
        }
    }

    /// What it calls itself.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }
}
