//! The ports that a rule is about.

use std::fmt;
use std::str::FromStr;

/// A range of TCP ports, both ends included; 1 to 65535 when a rule names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ports {
    low: u16,
    high: u16,
}

/// Why a text is not a port or a range of ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortsError {
    /// Not `PORT` or `LOW-HIGH` in decimal digits.
    #[error("{0:?} is not a port; write `443` or a range such as `8000-8100`")]
    NotANumber(String),
    /// Port 0, or more than 65535.
    #[error("port {0} does not exist; ports are 1 to 65535")]
    OutOfRange(String),
    /// The ends are the wrong way round.
    #[error("the range {low}-{high} is empty; write `{high}-{low}`")]
    Empty {
        /// The first number.
        low: u16,
        /// The second number, which is smaller.
        high: u16,
    },
}

impl Ports {
    /// Every port.
    pub const ANY: Self = Self {
        low: 1,
        high: u16::MAX,
    };

    /// One port; none for port 0.
    pub fn one(port: u16) -> Option<Self> {
        (port != 0).then_some(Self {
            low: port,
            high: port,
        })
    }

    /// From `low` to `high`, both included; none if that is empty or starts at 0.
    pub fn range(low: u16, high: u16) -> Option<Self> {
        (low != 0 && low <= high).then_some(Self { low, high })
    }

    /// Whether the port is one of them. Port 0 never is.
    pub fn contains(self, port: u16) -> bool {
        self.low <= port && port <= self.high
    }

    /// The lowest port.
    pub fn low(self) -> u16 {
        self.low
    }

    /// The highest port.
    pub fn high(self) -> u16 {
        self.high
    }

    /// Whether the rule names no port.
    pub fn is_any(self) -> bool {
        self == Self::ANY
    }
}

/// One port in decimal digits.
pub(crate) fn parse_port(text: &str) -> Result<u16, PortsError> {
    // `u16::from_str` alone would take `+443`.
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(PortsError::NotANumber(text.to_owned()));
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(PortsError::OutOfRange(text.to_owned())),
        Ok(port) => Ok(port),
    }
}

impl FromStr for Ports {
    type Err = PortsError;

    fn from_str(text: &str) -> Result<Self, PortsError> {
        let Some((low, high)) = text.split_once('-') else {
            let port = parse_port(text)?;
            return Ok(Self {
                low: port,
                high: port,
            });
        };
        let (low, high) = (parse_port(low)?, parse_port(high)?);
        Self::range(low, high).ok_or(PortsError::Empty { low, high })
    }
}

/// `443` or `8000-8100`.
impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.low == self.high {
            write!(f, "{}", self.low)
        } else {
            write!(f, "{}-{}", self.low, self.high)
        }
    }
}
