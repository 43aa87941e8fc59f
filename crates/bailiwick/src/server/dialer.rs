//! How a server reaches what its operator named: receivers of records, identity providers.

use std::sync::Arc;

use bailiwick_dial::{DialOptions, Dialer, ProxySettings};
use bailiwick_policy::HostFacts;
use tokio::sync::watch;

use crate::bad_input::BadInput;
use crate::host_environment::HostEnvironment;

/// Through the proxy of the environment, if it names one.
///
/// # Errors
///
/// [`BadInput::ProxyVariable`].
pub(super) fn dialer(host: &HostEnvironment) -> Result<Arc<Dialer>, BadInput> {
    let proxy = ProxySettings::from_variables(&host.proxy).map_err(BadInput::ProxyVariable)?;
    let (_, facts) = watch::channel(Arc::new(HostFacts::unknown()));
    Ok(Arc::new(Dialer::new(DialOptions {
        proxy,
        ..DialOptions::new(facts)
    })))
}
