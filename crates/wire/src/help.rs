//! The fix for each cause, in words.

use bailiwick_model::limits;
use bailiwick_policy::HostPatternError;

use crate::problem::{Cause, Form};

impl Cause {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::TooLarge(_) | Self::TooManyNodes => "an environment names destinations and packages; keep everything else out of it".into(),
            Self::TooDeep(limits::DECLARATION_DEPTH) => "put less into one another".into(),
            Self::TooDeep(_) => "the deepest place that means anything is a list in `config.networking`".into(),
            Self::NothingThere => "write at least `name: NAME`".into(),
            Self::Syntax(message) => syntax_help(message),
            Self::SeveralDocuments => "write one environment per file: remove everything from the second `---` on".into(),
            Self::Alias(name) => format!("a text that begins with `*` needs quotes: \"{}\"", name.escape_debug()),
            Self::Anchor(_) => "write the value out at each place that needs it".into(),
            Self::Tag => "remove the tag; quote the value if it is meant as text".into(),
            Self::MergeKey => "write the keys out".into(),
            Self::KeyNotText => "write a field's name, in quotes if it looks like a number or a boolean".into(),
            Self::DuplicateKey(_) | Self::DuplicateRule(_) | Self::DuplicatePackage { .. } => "keep one of the two".into(),
            Self::UnknownField { meant, known, .. } | Self::NotOneOf { meant, known, .. } => suggestion(*meant, known),
            Self::ServerField(_) => "remove it".into(),
            Self::MissingField { example, .. } => format!("add `{example}`"),
            Self::WrongForm { wanted, found, .. } => form_help(*wanted, *found),
            Self::SelfHosted => "write `type: cloud`".into(),
            Self::AccountScope => "remove `scope`, or write `scope: organization`".into(),
            Self::Name(_) => "a name has 1 to 256 characters, none of them a control character".into(),
            Self::LongDescription(_) | Self::LongMetadataValue(_) => "shorten it".into(),
            Self::TooManyMetadata(_) => format!("keep at most {} pairs", limits::METADATA_PAIRS),
            Self::MetadataKeyLength(_) | Self::ReservedMetadata(_) => "choose another key".into(),
            Self::Host(
                HostPatternError::Address { corrected, .. } | HostPatternError::Block { corrected },
            ) => format!("move it to `allowed_cidrs`: \"{corrected}\""),
            Self::Host(error) => correction(error.corrected(), "write `example.com`, `*.example.com`, or one of them with `:port` or `:low-high`"),
            Self::Cidr(error) => correction(error.corrected(), "write for example \"10.20.0.0/16\", \"10.20.0.0/16:5432\" or \"[fd12::/32]:5432\""),
            Self::TooMany { limit, .. } => format!("keep at most {limit}; a wildcard (\"*.example.com\") or a shorter prefix covers many"),
            Self::NeedsLimited(_) => "write `type: limited` to allow only what is listed, or remove the field".into(),
            Self::PackagesNeedManagers => "add `allow_package_managers: true` to `config.networking`: listing the registries' hosts is not enough".into(),
            Self::Package { place, .. } => format!("write {}", place.manager.spec_forms()),
            Self::TooManyPackages(_) => format!("keep at most {}; what a package depends on needs no entry", limits::PACKAGES),
            Self::Base(_) => "write host, dir:/PATH, tar:/PATH, debian:SUITE or oci:REFERENCE".into(),
            Self::RelativeBase(_) => "write the whole path, from `/` on".into(),
            Self::Project { problem, .. } => problem.help().into(),
            Self::TooManyCommands(_) => "put them into a script in the repository, and run that".into(),
            Self::NotANumberOfJson(_) => "write it in decimal digits, or in quotes if it is meant as text".into(),
            Self::Field(problem) => problem.help.clone(),
            Self::Credential(problem) => problem.help(),
            Self::AllowedAndDenied(_) => "remove one of the two".into(),
            Self::HostWarning(_) => "name the hosts that you mean".into(),
        }
    }
}

/// `.info()` of the parser is the only text there is; the two mistakes that people make most deserve more.
fn syntax_help(message: &str) -> String {
    if message.contains("tab") {
        "indent with spaces: YAML does not take tabs there".into()
    } else if message.contains("mapping values are not allowed") {
        "a text that holds `: ` needs quotes, and every key of a map the same indentation".into()
    } else {
        "check the indentation, brackets and quotes at this place; what stands after it was not checked".into()
    }
}

fn correction(corrected: Option<&str>, forms: &str) -> String {
    corrected.map_or_else(|| forms.to_owned(), |text| format!("write \"{text}\""))
}

fn suggestion(meant: Option<&str>, known: &[&str]) -> String {
    match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!(
            "known are {}",
            known
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

fn form_help(wanted: Form, found: Form) -> String {
    match (wanted, found) {
        (Form::Text, Form::Number | Form::Bool) => "put it in quotes".into(),
        (Form::Text, Form::Null) => "write a text, or remove the entry".into(),
        (Form::Bool, _) => "write `true` or `false`, without quotes".into(),
        (Form::List, Form::Text | Form::Number | Form::Bool) => {
            "write a list, even for one entry: [entry]".into()
        }
        (Form::Port, _) => "write a number from 1 to 65535, without quotes".into(),
        (Form::Map, _) => "write `key: value` pairs, indented below the field".into(),
        (wanted, _) => format!("write {wanted}"),
    }
}
