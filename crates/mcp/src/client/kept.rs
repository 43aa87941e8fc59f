//! Connections that are kept over several uses, and what they were made under.

use bailiwick_outbound::Outbound;
use zeroize::Zeroizing;

use super::Access;
use crate::outbound::Reached;

/// Where a connection leads, and with whose token it was made.
pub(super) struct Kept {
    reached: Reached,
    token: Option<Zeroizing<String>>,
}

impl Kept {
    pub(super) fn new(reached: Reached, access: Access<'_>) -> Self {
        let token = access.token.map(|token| Zeroizing::new(token.to_owned()));
        Self { reached, token }
    }

    /// Whether the same connection could be made now. One that could not must not live on.
    pub(super) fn holds(&self, outbound: &Outbound, access: Access<'_>) -> bool {
        self.token.as_ref().map(|token| token.as_str()) == access.token
            && self.reached.is_within((outbound, access.policy))
    }
}
