//! Any text is a spec or a reason against it, for every manager; what is taken is one harmless argument and reads as itself again.

#![no_main]

use bailiwick_model::{PackageManager, PackageSpec};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for manager in PackageManager::ALL {
        match PackageSpec::parse(*manager, &text) {
            Ok(spec) => {
                assert!(text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '@'), "{text}");
                assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+@/:,<>=!~^*[]".contains(c)), "{text}");
                assert!(!text.contains("..") && !text.contains("://"), "{text}");
                assert!(text.starts_with(spec.name()) && spec.version().is_none_or(|version| text.ends_with(version)));
                assert!(PackageSpec::parse(*manager, spec.name()).is_ok(), "{text}");
                assert_eq!(PackageSpec::parse(*manager, &spec.to_string()), Ok(spec));
            }
            Err(problem) => assert!(!problem.to_string().contains(char::is_control), "{problem}"),
        }
    }
});
