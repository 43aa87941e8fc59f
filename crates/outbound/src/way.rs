//! Who decides.

use std::borrow::Borrow;
use std::sync::Arc;

use bailiwick_dial::{DialError, Dialer};
use bailiwick_model::Destination;
use bailiwick_policy::Policy;
use tokio::net::TcpStream;

use crate::Permit;

/// Who decides whether a server may be connected to.
#[derive(Debug, Clone, Copy)]
pub enum Way<P = Arc<Policy>> {
    /// The operator chose the server in the product's own configuration, on whatever machine it is. Never for what an API caller, an agent or a
    /// sandbox named.
    Operator,
    /// The operator chose the server, and what this policy denies expressly (an organization's floor, an environment's denied hosts and networks)
    /// is not reached all the same. It needs no rule that allows it, and may be on whatever machine.
    OperatorWithin(P),
    /// This policy does, for every connection and every address.
    Policy(P),
}

impl<P: Borrow<Policy>> Way<P> {
    /// The same, borrowed.
    pub fn borrowed(&self) -> Way<&Policy> {
        match self {
            Self::Operator => Way::Operator,
            Self::OperatorWithin(policy) => Way::OperatorWithin(policy.borrow()),
            Self::Policy(policy) => Way::Policy(policy.borrow()),
        }
    }
}

impl Way<&Policy> {
    pub(crate) async fn dial(
        self,
        dialer: &Dialer,
        destination: &Destination,
    ) -> Result<(TcpStream, Option<Permit>), DialError> {
        match self {
            Self::Operator => Ok((dialer.dial_for_operator(destination).await?, None)),
            Self::OperatorWithin(policy) => {
                let dialing = dialer.dial_for_operator_within(policy, destination);
                Ok((dialing.await?, None))
            }
            Self::Policy(policy) => {
                let dialed = dialer.dial(policy, destination).await?;
                let permit = Permit {
                    address: dialed.address,
                    pinned: dialed.pinned,
                    reason: dialed.reason,
                    rule: dialed.rule,
                };
                Ok((dialed.stream, Some(permit)))
            }
        }
    }
}
