//! The host's own resolver: `/etc/hosts`, then the servers of `/etc/resolv.conf`.

use std::net::IpAddr;

use bailiwick_model::HostName;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::sync::OnceCell;

use crate::LookupError;

/// Made at the first question, since most runs with pinned names or a proxy never ask one.
#[derive(Default)]
pub(crate) struct HostResolver(OnceCell<TokioResolver>);

impl HostResolver {
    /// Every address of `name`, IPv4 and IPv6; an error rather than an empty list.
    pub(crate) async fn addresses(&self, name: &HostName) -> Result<Vec<IpAddr>, LookupError> {
        let found = self
            .resolver()
            .await?
            .lookup_ip(absolute(name)?)
            .await
            .map_err(classify)?;
        let addresses: Vec<IpAddr> = found.iter().map(|address| address.to_canonical()).collect();
        if addresses.is_empty() {
            Err(LookupError::NoSuchRecord)
        } else {
            Ok(addresses)
        }
    }

    /// The records of one type, as the upstream servers gave them.
    pub(crate) async fn lookup(
        &self,
        name: &HostName,
        kind: RecordType,
    ) -> Result<Lookup, LookupError> {
        self.resolver()
            .await?
            .lookup(absolute(name)?, kind)
            .await
            .map_err(classify)
    }

    async fn resolver(&self) -> Result<&TokioResolver, LookupError> {
        let make = || async {
            let mut builder = TokioResolver::builder_tokio()?;
            builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
            builder.build()
        };
        self.0
            .get_or_try_init(make)
            .await
            .map_err(LookupError::Configuration)
    }
}

/// The name with its root label: a search list must not turn an allowed name into another one.
fn absolute(name: &HostName) -> Result<Name, LookupError> {
    let mut absolute =
        Name::from_ascii(name.as_str()).map_err(|error| LookupError::Failed(error.into()))?;
    absolute.set_fqdn(true);
    Ok(absolute)
}

fn classify(error: NetError) -> LookupError {
    if error.is_nx_domain() {
        LookupError::NoSuchName
    } else if error.is_no_records_found() {
        LookupError::NoSuchRecord
    } else {
        LookupError::Failed(error)
    }
}
