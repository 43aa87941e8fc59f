//! The one list of codes.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        /// Why a request failed, in a word for a program. Once it was released, a word keeps its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code {
            $($(#[$doc])* $name,)+
        }

        impl Code {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

codes! {
    /// No credentials, or none that are taken.
    Unauthenticated = "unauthenticated";
    /// Too many authentications from this address failed.
    TooManyFailures = "too_many_failures";
    /// Too many passwords are being checked.
    TooManyPasswords = "too_many_passwords";
    /// The sign-in at an identity provider was not begun in this browser, or too long ago.
    SignInNotBegun = "sign_in_not_begun";
    /// The sign-in was used already.
    SignInSpent = "sign_in_spent";
    /// The identity provider's answer does not prove who they are.
    SignInNotProven = "sign_in_not_proven";
    /// It is known who they are, and they are not let in.
    SignInNotAllowed = "sign_in_not_allowed";
    /// The identity provider did not do its part.
    IdentityProviderUnavailable = "identity_provider_unavailable";
    /// An MCP server of the catalog cannot be asked, or does not answer.
    McpServerUnavailable = "mcp_server_unavailable";
    /// The permission is missing.
    Forbidden = "forbidden";
    /// There is none, or it is another organization's.
    NotFound = "not_found";
    /// Several things are wrong with the body.
    Invalid = "invalid";
    /// Another skill has this name.
    SkillNameTaken = "skill_name_taken";
    /// Something else has this name.
    NameTaken = "name_taken";
    /// It was changed since the version that was named.
    Stale = "stale";
    /// The environment is archived, and so read-only.
    EnvironmentArchived = "environment_archived";
    /// The vault is archived, and so read-only.
    VaultArchived = "vault_archived";
    /// The credential is archived, and so read-only.
    CredentialArchived = "credential_archived";
    /// The session is archived, and so read-only.
    SessionArchived = "session_archived";
    /// It is archived, and so read-only.
    Archived = "archived";
    /// An active credential of the vault is for the same thing.
    CredentialExists = "credential_exists";
    /// No more fit in.
    Full = "full";
    /// A secret cannot be opened.
    Sealed = "sealed";
    /// No workers serve an environment of this type.
    NotSelfHosted = "not_self_hosted";
    /// The Default environment stays.
    DefaultEnvironment = "default_environment";
    /// It comes with every organization.
    PredefinedRole = "predefined_role";
    /// Nobody would administer the organization any more.
    LastAdministrator = "last_administrator";
    /// Something refers to it.
    Referred = "referred";
    /// The session is at work.
    SessionRunning = "session_running";
    /// The session has ended.
    SessionTerminated = "session_terminated";
    /// The primary thread ends with its session.
    PrimaryThread = "primary_thread";
    /// Something else was said to this call of a tool already.
    AlreadyAnswered = "already_answered";
    /// Workers of its owner decide what is reached there.
    SelfHosted = "self_hosted";
    /// As many streams are open as may be.
    TooManyStreams = "too_many_streams";
    /// The work has been stopped.
    WorkStopped = "work_stopped";
    /// The lease is another worker's, or has ended.
    HeartbeatPreconditionFailed = "heartbeat_precondition_failed";
    /// It would work together with something in another environment.
    AcrossEnvironments = "across_environments";
    /// The file was there, and its time is over.
    FileExpired = "file_expired";
    /// It has more bytes than such a thing may have.
    RequestTooLarge = "request_too_large";
    /// The request did not arrive in time.
    RequestBodyTimeout = "request_body_timeout";
    /// The organization has as many bytes of files and skills as it may.
    StorageQuotaExceeded = "storage_quota_exceeded";
    /// The bytes of the file are not for clients.
    FileNotDownloadable = "file_not_downloadable";
    /// The skill is deleted version by version, for clients of before 2026.
    SkillHasVersions = "skill_has_versions";
    /// A skill has at least one version.
    OnlySkillVersion = "only_skill_version";
    /// The database did not do what it should.
    Unavailable = "unavailable";
    /// There is nothing at the path.
    NoRoute = "no_route";
    /// The path takes other methods.
    MethodNotAllowed = "method_not_allowed";
    /// The body is not JSON, or not an object of the right form.
    NotJson = "not_json";
    /// The body is not a form of files.
    NotAForm = "not_a_form";
    /// A parameter of the query or the path cannot be used.
    InvalidParameter = "invalid_parameter";
}
