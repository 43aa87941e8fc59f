//! CIDR rules: a block of addresses, with the ports it is about.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

use crate::ports::{Ports, PortsError};

/// A CIDR rule: `10.20.0.0/16`, `10.20.0.0/16:5432`, `[fd12::/32]:5432-5433`, `203.0.113.7`.
///
/// The host bits are zero; a bare address is a block of one. Without a port the rule is about every TCP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CidrRule {
    net: IpNet,
    ports: Ports,
}

/// Why a text is not a CIDR rule, with the form that would be one where there is such a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidrRuleError {
    /// Neither an address nor a block of addresses.
    #[error(
        "{0:?} is not a block of addresses; write for example `10.20.0.0/16` or `[fd12::/32]:5432`"
    )]
    NotACidr(String),
    /// More than 32 or 128, or not a number.
    #[error("the prefix length {0:?} is not a number up to {1}")]
    PrefixLength(String, u8),
    /// Bits below the prefix length are set.
    #[error("bits after the prefix are set; write `{corrected}`")]
    HostBits {
        /// The block that the address lies in.
        corrected: String,
    },
    /// `::ffff:10.0.0.0/104`: the IPv4 block in IPv6 dress.
    #[error("this is an IPv4 block in IPv6 form; write `{corrected}`")]
    Mapped {
        /// The IPv4 block.
        corrected: String,
    },
    /// `fd12::/32:5432`.
    #[error("an IPv6 block with a port needs brackets; write `{corrected}`")]
    Brackets {
        /// With them.
        corrected: String,
    },
    /// What follows the colon is not a port.
    #[error(transparent)]
    Ports(#[from] PortsError),
}

impl CidrRuleError {
    /// The form that would be accepted, where there is one.
    pub fn corrected(&self) -> Option<&str> {
        match self {
            Self::HostBits { corrected }
            | Self::Mapped { corrected }
            | Self::Brackets { corrected } => Some(corrected),
            Self::NotACidr(_) | Self::PrefixLength(..) | Self::Ports(_) => None,
        }
    }
}

impl CidrRule {
    /// The rule for a block; its host bits are cleared.
    pub fn new(net: IpNet, ports: Ports) -> Self {
        Self {
            net: net.trunc(),
            ports,
        }
    }

    /// The rule for one address and every port. An IPv4-mapped address is taken as the IPv4 address that it is.
    pub fn single(address: IpAddr) -> Self {
        Self {
            net: address.to_canonical().into(),
            ports: Ports::ANY,
        }
    }

    /// The block, its host bits zero.
    pub fn net(&self) -> IpNet {
        self.net
    }

    /// The ports that the rule is about.
    pub fn ports(&self) -> Ports {
        self.ports
    }
}

/// The block and the port part of `text`.
fn split(text: &str) -> Result<(&str, Option<&str>), CidrRuleError> {
    let not_a_cidr = || CidrRuleError::NotACidr(text.to_owned());
    if let Some(rest) = text.strip_prefix('[') {
        let (block, after) = rest.split_once(']').ok_or_else(not_a_cidr)?;
        return match after.strip_prefix(':') {
            Some(ports) => Ok((block, Some(ports))),
            None if after.is_empty() => Ok((block, None)),
            None => Err(not_a_cidr()),
        };
    }
    match text.rsplit_once(':') {
        None => Ok((text, None)),
        Some((block, ports)) if !block.contains(':') => Ok((block, Some(ports))),
        Some((block, ports)) if block.contains('/') => {
            let corrected = format!("[{block}]:{ports}");
            // What else is wrong is said first: a correction must be accepted.
            corrected.parse::<CidrRule>()?;
            Err(CidrRuleError::Brackets { corrected })
        }
        Some(_) => Ok((text, None)),
    }
}

fn parse_net(text: &str) -> Result<IpNet, CidrRuleError> {
    let (address, length) = text
        .split_once('/')
        .map_or((text, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address
        .parse()
        .map_err(|_| CidrRuleError::NotACidr(text.to_owned()))?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => most,
        Some(digits) => {
            let refused = || CidrRuleError::PrefixLength(digits.to_owned(), most);
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            plain
                .then(|| digits.parse().ok())
                .flatten()
                .filter(|length| *length <= most)
                .ok_or_else(refused)?
        }
    };
    IpNet::new(address, length).map_err(|_| CidrRuleError::NotACidr(text.to_owned()))
}

/// The IPv4 block that an IPv4-mapped block (RFC 4291 section 2.5.5.2) stands for.
fn unmapped(net: IpNet) -> Option<IpNet> {
    let IpNet::V6(v6) = net else { return None };
    let address = v6.addr().to_ipv4_mapped()?;
    let length = v6.prefix_len().checked_sub(96)?;
    Ipv4Net::new(address, length).ok().map(IpNet::V4)
}

impl FromStr for CidrRule {
    type Err = CidrRuleError;

    fn from_str(text: &str) -> Result<Self, CidrRuleError> {
        let (block, ports) = split(text)?;
        let net = parse_net(block)?;
        let ports = ports.map_or(Ok(Ports::ANY), str::parse)?;
        if let Some(v4) = unmapped(net) {
            return Err(CidrRuleError::Mapped {
                corrected: Self::new(v4, ports).to_string(),
            });
        }
        if net != net.trunc() {
            return Err(CidrRuleError::HostBits {
                corrected: Self::new(net, ports).to_string(),
            });
        }
        Ok(Self { net, ports })
    }
}

impl TryFrom<&str> for CidrRule {
    type Error = CidrRuleError;

    fn try_from(text: &str) -> Result<Self, CidrRuleError> {
        text.parse()
    }
}

/// The canonical form; it parses back to the same rule.
impl fmt::Display for CidrRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.net, self.ports.is_any()) {
            (net, true) => net.fmt(f),
            (IpNet::V4(net), false) => write!(f, "{net}:{}", self.ports),
            (IpNet::V6(net), false) => write!(f, "[{net}]:{}", self.ports),
        }
    }
}
