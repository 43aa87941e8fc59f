//! What can be wrong with a credential. No text of these holds a value of the request.

use bailiwick_model::limits;
use bailiwick_policy::FieldNameError;

/// Why a URL is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlProblem {
    /// It cannot be parsed.
    #[error("is not an absolute URL")]
    NotAUrl,
    /// White space or a control character, which parsers drop.
    #[error("holds white space or a control character")]
    WhiteSpace,
    /// Neither http nor https.
    #[error("is neither http nor https")]
    Scheme,
    /// Secrets would go over the network as they are (RFC 6749, section 3.2).
    #[error("must be https, unless its host is this machine")]
    Plain,
    /// `https://USER:PASSWORD@HOST/`.
    #[error("holds a user or a password, which would not be kept secret")]
    UserPart,
    /// `#…`.
    #[error("has a fragment, which is never sent")]
    Fragment,
}

/// Why a field of a credential is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialProblem {
    /// A text is too short or too long.
    #[error("`{field}` has {least} to {most} characters, this one has {count}")]
    Length {
        /// Which.
        field: &'static str,
        /// The fewest.
        least: usize,
        /// The most.
        most: usize,
        /// Those that it has.
        count: usize,
    },
    /// A token holds what no header can carry.
    #[error(
        "`{field}` holds something else than visible ASCII characters and spaces (RFC 6749, appendix A)"
    )]
    Characters {
        /// Which.
        field: &'static str,
    },
    /// A URL is none that can be used.
    #[error("`{field}` {problem}")]
    Url {
        /// Which.
        field: &'static str,
        /// Why.
        problem: UrlProblem,
    },
    /// Not a time.
    #[error("`expires_at` is not a time as RFC 3339 writes it")]
    Moment,
    /// A time that has passed.
    #[error("`expires_at` has passed")]
    Past,
    /// Not a name that programs can read.
    #[error("`secret_name` is not the name of an environment variable")]
    SecretName,
    /// A port.
    #[error("a host of a credential has no port")]
    HostPort,
    /// An address that is not IPv4 in its usual form, or a block of addresses.
    #[error("of addresses only single IPv4 addresses can be hosts of a credential")]
    HostAddress,
    /// A secret that goes nowhere.
    #[error("`header` or `body` of `injection_location` must be true")]
    NoLocation,
    /// Not a field that a secret can be in.
    #[error("`header_names`: {0}")]
    HeaderName(FieldNameError),
    /// Names of headers, which nothing goes into.
    #[error("`header_names` says nothing where `header` is not true")]
    NamesWithoutHeader,
    /// A field that stays as it was made.
    #[error("`{field}` of a credential cannot be changed")]
    Immutable {
        /// Which.
        field: &'static str,
    },
    /// Another type.
    #[error("the type of the credential is `{stored}`, and cannot be changed")]
    OtherType {
        /// What it is.
        stored: &'static str,
    },
    /// `refresh` where there is none.
    #[error("the credential was made without `refresh`, which cannot be added")]
    NoRefresh,
    /// A client secret where there is none.
    #[error("the credential's token endpoint takes no client secret")]
    NoClientSecret,
}

impl CredentialProblem {
    /// A stable name, for scripts.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Length { .. } => "invalid_length",
            Self::Characters { .. } => "invalid_characters",
            Self::Url { .. } => "invalid_url",
            Self::Moment => "invalid_time",
            Self::Past => "in_the_past",
            Self::SecretName => "invalid_secret_name",
            Self::HostPort | Self::HostAddress => "invalid_host",
            Self::NoLocation => "no_injection_location",
            Self::HeaderName(_) | Self::NamesWithoutHeader => "invalid_header_names",
            Self::Immutable { .. } => "immutable_field",
            Self::OtherType { .. } => "invalid_auth_type_change",
            Self::NoRefresh => "no_refresh",
            Self::NoClientSecret => "no_client_secret",
        }
    }

    /// What to do about it.
    pub(crate) fn help(&self) -> String {
        match self {
            Self::Length { count: 0, .. } => "write a text, or leave the field out".into(),
            Self::Length { .. } => "shorten it".into(),
            Self::Characters { .. } => "look for a line end that was copied along".into(),
            Self::Url { .. } => "write for example \"https://mcp.example.com/mcp\"".into(),
            Self::Moment => "write for example \"2027-01-31T12:00:00Z\"".into(),
            Self::Past => "name a time to come, or leave the field out".into(),
            Self::SecretName => "use letters, digits and `_`, not beginning with a digit".into(),
            Self::HostPort => "remove the port: every port of the host is meant".into(),
            Self::HostAddress => format!("name hosts, at most {}", limits::CREDENTIAL_HOSTS),
            Self::NoLocation => "set one of them to true, or leave `injection_location` out".into(),
            Self::HeaderName(_) => "write for example [\"authorization\"]".into(),
            Self::NamesWithoutHeader => "set `header` to true, or leave `header_names` out".into(),
            Self::Immutable { .. }
            | Self::OtherType { .. }
            | Self::NoRefresh
            | Self::NoClientSecret => "archive the credential and make another".into(),
        }
    }
}
