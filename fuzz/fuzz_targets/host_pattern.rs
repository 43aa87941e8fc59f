//! Everything that the policy core reads: no input may panic, and what is accepted must be in its one form.

#![no_main]

use bailiwick_policy::{CidrRule, HostPattern, Pin, Ports, normalise_host, parse_destination};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(name) = normalise_host(&text) {
        assert_eq!(normalise_host(name.as_str()), Ok(name));
    }
    match text.parse::<HostPattern>() {
        Ok(pattern) => {
            let _ = pattern.warning();
            assert_eq!(pattern.to_string().parse(), Ok(pattern));
        }
        Err(error) => {
            let accepted = |text: &str| text.parse::<HostPattern>().is_ok() || text.parse::<CidrRule>().is_ok();
            assert!(error.corrected().is_none_or(accepted), "{error}");
        }
    }
    match text.parse::<CidrRule>() {
        Ok(rule) => assert_eq!(rule.to_string().parse(), Ok(rule)),
        Err(error) => assert!(error.corrected().is_none_or(|text| text.parse::<CidrRule>().is_ok()), "{error}"),
    }
    if let Ok(destination) = parse_destination(&text) {
        assert_eq!(parse_destination(&destination.to_string()), Ok(destination));
    }
    let _ = text.parse::<Ports>();
    let _ = text.parse::<Pin>();
});
