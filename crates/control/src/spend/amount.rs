//! Amounts of limits as people write and read them.

use std::fmt;

use bailiwick_model::LimitAmount;

/// An amount for people.
pub(super) struct Amount(pub(super) LimitAmount);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            LimitAmount::CostNanos(nanos) => write!(f, "${}", dollars(nanos)),
            LimitAmount::Tokens(tokens) => write!(f, "{tokens} tokens"),
        }
    }
}

/// Billionths of dollars from digits, with up to nine more behind a point.
pub fn nano_dollars(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 9 {
        return None;
    }
    let part: i64 = format!("{part:0<9}").parse().ok()?;
    let whole: i64 = whole.parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(part)
}

/// In dollars, with two digits of cents and as many more as there are.
pub fn dollars(nanos: i64) -> String {
    let (sign, nanos) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let digits = format!("{:09}", nanos % 1_000_000_000);
    let digits = digits.trim_end_matches('0');
    format!("{sign}{}.{digits:0<2}", nanos / 1_000_000_000)
}

/// A number in the unit of an amount, as answers have it: dollars, or tokens.
pub fn money_or_tokens(unit: LimitAmount, number: i64) -> (Option<String>, Option<i64>) {
    match unit {
        LimitAmount::CostNanos(_) => (Some(dollars(number)), None),
        LimitAmount::Tokens(_) => (None, Some(number.max(0))),
    }
}
