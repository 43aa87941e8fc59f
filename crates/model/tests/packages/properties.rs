//! What holds for every text.

use bailiwick_model::limits::PACKAGE_BYTES;
use bailiwick_model::{PackageManager, PackageSpec};
use proptest::prelude::*;
use proptest::sample::select;

fn manager() -> impl Strategy<Value = PackageManager> {
    select(PackageManager::ALL)
}

/// Any text; texts of the characters that the grammars know; and texts of their pieces, most of which are taken.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-c0-2._+@/:<>=!~^*,\\[\\]v-]{0,16}",
        "[ -~]{0,12}",
        "(@[a-z]{1,3}/)?[a-z][a-z0-9.+_-]{0,6}(\\.[a-z]{2}/[a-z]+)?(\\[[a-z,]{1,4}\\])?(@|=|==|:|~=|@\\^|:~>|/|>=)?[0-9a-z.*:~+-]{0,8}",
        "[a-z]{1,4}(==|@|:|=|:>=|@>=)[0-9]{1,2}(\\.[0-9]{1,2}){0,2}(-?(rc|a|post|dev)\\.?[0-9])?(\\+[a-z0-9.]{1,3})?",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_spec_is_one_harmless_argument(manager in manager(), text in text()) {
        match PackageSpec::parse(manager, &text) {
            Ok(spec) => {
                prop_assert!(text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '@' && manager == PackageManager::Npm));
                prop_assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+@/:,<>=!~^*[]".contains(c)), "{}", text);
                prop_assert!(text.len() <= PACKAGE_BYTES && !text.contains("..") && !text.contains("://"));
                prop_assert!(!spec.name().is_empty() && text.starts_with(spec.name()));
                prop_assert!(spec.version().is_none_or(|version| !version.is_empty() && text.ends_with(version)));
                prop_assert!(spec.name().len() + spec.version().map_or(0, str::len) <= text.len());
            }
            Err(problem) => {
                let shown = problem.to_string();
                prop_assert!(!shown.is_empty() && !shown.chars().any(char::is_control), "{:?}", shown);
            }
        }
    }

    #[test]
    fn a_spec_reads_as_itself_again(manager in manager(), text in text()) {
        if let Ok(spec) = PackageSpec::parse(manager, &text) {
            prop_assert_eq!(spec.as_str(), &text);
            prop_assert_eq!(spec.manager(), manager);
            prop_assert_eq!(PackageSpec::parse(manager, &spec.to_string()), Ok(spec));
        }
    }

    #[test]
    fn a_name_without_its_version_is_a_spec_too(manager in manager(), text in text()) {
        if let Ok(spec) = PackageSpec::parse(manager, &text) {
            let name = PackageSpec::parse(manager, spec.name());
            prop_assert!(name.is_ok(), "{} of {}: {:?}", spec.name(), spec, name);
        }
    }
}
