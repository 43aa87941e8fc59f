//! Parsers of single values on the command line: sizes, processors, durations, variables.

use std::ffi::OsString;
use std::time::Duration;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

/// Processor time, in thousandths of one processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MilliCpus(pub(crate) u32);

/// A number of days, or for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Days(pub(crate) Option<u32>);

/// A variable for the command's environment: the name is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    /// What stands before the first `=`.
    pub(crate) name: OsString,
    /// What stands after it; may be empty.
    pub(crate) value: OsString,
}

/// Why a value on the command line is refused; clap prints it below the argument's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidValue {
    #[error("write a number and a unit: 512MiB, 2GiB, 1.5GB")]
    Size,
    #[error("write a number of processors: 1.5")]
    Cpus,
    #[error("write numbers with units: 90s, 10m, 1h30m")]
    Duration,
    #[error("write a number of days, or `forever`")]
    Days,
    #[error("zero is not a limit")]
    Zero,
    #[error("that is more than this program can count")]
    TooLarge,
    #[error("write NAME=VALUE, with a name that is not empty")]
    Variable,
    #[error("write 1 to 63 letters, digits, `-`, `_` and `.`")]
    Set,
}

/// `2GiB`, `512M`, `1.5GB`, `4096`. `K`, `M`, `G`, `T` alone are powers of 1024, as everywhere in containers.
pub(crate) fn size(text: &str) -> Result<Bytes, InvalidValue> {
    let (number, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len()),
    );
    let factor = match unit.trim_start() {
        "" | "B" => 1,
        "K" | "k" | "Ki" | "KiB" => 1 << 10,
        "M" | "m" | "Mi" | "MiB" => 1 << 20,
        "G" | "g" | "Gi" | "GiB" => 1 << 30,
        "T" | "t" | "Ti" | "TiB" => 1u64 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(InvalidValue::Size),
    };
    fixed_point(number, factor, InvalidValue::Size).map(Bytes)
}

/// `2`, `1.5`, `0.25`.
pub(crate) fn cpus(text: &str) -> Result<MilliCpus, InvalidValue> {
    let milli = fixed_point(text, 1000, InvalidValue::Cpus)?;
    milli
        .try_into()
        .map(MilliCpus)
        .map_err(|_| InvalidValue::TooLarge)
}

/// `90s`, `10m`, `1h30m`, `500ms`; a number alone is seconds, as timeout(1) has it.
pub(crate) fn duration(text: &str) -> Result<Duration, InvalidValue> {
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(
            rest.find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len()),
        );
        let (unit, tail) = tail.split_at(
            tail.find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(tail.len()),
        );
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "" if number.len() == text.len() => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(InvalidValue::Duration),
        };
        let part = fixed_point(number, milliseconds, InvalidValue::Duration)?;
        total = total.checked_add(part).ok_or(InvalidValue::TooLarge)?;
        rest = tail;
    }
    if total == 0 {
        Err(InvalidValue::Duration)
    } else {
        Ok(Duration::from_millis(total))
    }
}

/// `30`, `forever`.
pub(crate) fn days(text: &str) -> Result<Days, InvalidValue> {
    if text == "forever" {
        return Ok(Days(None));
    }
    let number = text.parse().map_err(|_| InvalidValue::Days)?;
    Ok(Days(Some(number)))
}

/// `NAME=VALUE`.
pub(crate) fn variable(text: &str) -> Result<Variable, InvalidValue> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Variable {
            name: name.into(),
            value: value.into(),
        }),
        Some(_) | None => Err(InvalidValue::Variable),
    }
}

/// `KEY=VALUE`, both of text.
pub(crate) fn pair(text: &str) -> Result<(String, String), InvalidValue> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err(InvalidValue::Variable),
    }
}

/// The name of a set of what is applied together.
pub(crate) fn set(text: &str) -> Result<String, InvalidValue> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=63).contains(&text.len()) && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(InvalidValue::Set)
    }
}

/// `number` (digits with at most one point) times `factor`, without the errors of floating point. Never zero.
fn fixed_point(number: &str, factor: u64, malformed: InvalidValue) -> Result<u64, InvalidValue> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty())
        || !digits(whole)
        || !digits(fraction)
        || fraction.len() > 9
    {
        return Err(malformed);
    }
    let whole: u128 = format!("0{whole}")
        .parse()
        .map_err(|_| InvalidValue::TooLarge)?;
    let numerator: u128 = format!("0{fraction}")
        .parse()
        .map_err(|_| InvalidValue::TooLarge)?;
    let denominator = 10u128.pow(fraction.len() as u32);
    let value = whole
        .checked_mul(factor.into())
        .ok_or(InvalidValue::TooLarge)?
        + numerator * u128::from(factor) / denominator;
    match u64::try_from(value) {
        Ok(0) => Err(InvalidValue::Zero),
        Ok(value) => Ok(value),
        Err(_) => Err(InvalidValue::TooLarge),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        for (text, bytes) in [
            ("2GiB", 2 << 30),
            ("512M", 512 << 20),
            ("1.5GB", 1_500_000_000),
            ("4096", 4096),
            ("0.5KiB", 512),
            ("1 GiB", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(Bytes(bytes)), "{text}");
        }
        for text in [
            "",
            "GiB",
            "-1G",
            "1.2.3G",
            "2 gigabytes",
            "0",
            "1e9",
            "0x10",
            "99999999999999999999999999999999999999999T",
            "∞",
        ] {
            assert!(size(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn processors_are_counted_in_thousandths() {
        assert_eq!(cpus("1.5"), Ok(MilliCpus(1500)));
        assert_eq!(cpus("0.25"), Ok(MilliCpus(250)));
        assert_eq!(cpus("0.0001"), Err(InvalidValue::Zero));
        assert_eq!(cpus("two"), Err(InvalidValue::Cpus));
    }

    #[test]
    fn durations_add_up() {
        for (text, seconds) in [
            ("10m", 600.0),
            ("1h30m", 5400.0),
            ("90", 90.0),
            ("1.5s", 1.5),
            ("500ms", 0.5),
        ] {
            assert_eq!(
                duration(text).map(|d| d.as_secs_f64()),
                Ok(seconds),
                "{text}"
            );
        }
        for text in ["", "m", "10m5", "ten", "-5s", "0", "0s", "10 m"] {
            assert!(duration(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_variable_keeps_everything_after_its_first_equals_sign() {
        assert_eq!(
            variable("A=b=c"),
            Ok(Variable {
                name: "A".into(),
                value: "b=c".into()
            })
        );
        assert_eq!(
            variable("A="),
            Ok(Variable {
                name: "A".into(),
                value: "".into()
            })
        );
        assert_eq!(variable("=b"), Err(InvalidValue::Variable));
        assert_eq!(variable("A"), Err(InvalidValue::Variable));
    }
}
