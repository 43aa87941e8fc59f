//! Dollars for tokens.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Picodollars for one token are in a dollar for a million tokens.
const UNIT: i64 = 1_000_000;
/// The dearest there is: a dollar for a token.
const DEAREST_PICO_DOLLARS: i64 = 1_000_000 * UNIT;
const DECIMALS: usize = 6;

/// What a token costs. It is written as providers write it, in dollars for a million tokens (`"3.75"`), and kept as a whole number of picodollars:
/// a nanodollar is too coarse, since some cached input costs half of one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(i64);

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no price: write dollars for a million tokens in quotes, such as \"3.75\", with at most {DECIMALS} decimals"
)]
pub struct NotARate(String);

impl Rate {
    /// For one token.
    pub fn pico_dollars(self) -> i64 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Self, NotARate> {
        let refused = || NotARate(text.chars().take(40).collect());
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > DECIMALS {
            return Err(refused());
        }
        let whole: i64 = whole.parse().map_err(|_| refused())?;
        let decimals: i64 = format!("{decimals:0<DECIMALS$}")
            .parse()
            .map_err(|_| refused())?;
        let pico_dollars = whole
            .checked_mul(UNIT)
            .and_then(|pico| pico.checked_add(decimals));
        let within = pico_dollars.filter(|pico| *pico <= DEAREST_PICO_DOLLARS);
        within.map(Self).ok_or_else(refused)
    }
}

/// Dollars for a million tokens, without zeros at the end.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.0 / UNIT, self.0 % UNIT);
        let text = format!("{whole}.{decimals:0DECIMALS$}");
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${self}/M")
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_written_as_it_is_read() {
        for (text, pico_dollars) in [
            ("0", 0),
            ("3", 3_000_000),
            ("3.75", 3_750_000),
            ("0.0125", 12_500),
            ("0.000001", 1),
            ("1000000", DEAREST_PICO_DOLLARS),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(
                (rate.pico_dollars(), rate.to_string().as_str()),
                (pico_dollars, text)
            );
        }
        assert_eq!("3.50".parse::<Rate>().unwrap().to_string(), "3.5");
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for text in [
            "",
            ".",
            "3.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "0.0000001",
            "1000000.000001",
            "99999999999999999999",
            "$3",
            " 3",
            "3,5",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text:?} was taken");
        }
    }
}
