//! What a self-hosted server is.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use bailiwick_model::limits::{HOSTED_ARGUMENTS, HOSTED_COMMAND_BYTES, HOSTED_VARIABLES};
use bailiwick_model::{
    CredentialId, EnvironmentId, OrganizationId, Packages, SecretText, SessionId, VaultId,
};
use bailiwick_runtime::Limits;
use url::Url;

/// An MCP server that runs here, in a sandbox of its environment. It is the same server as long as this is equal; with another value it is
/// started again.
#[derive(Debug, Clone, PartialEq)]
pub struct HostedServer {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Where it is. Base, packages, project and policy are those of its newest revision.
    pub environment: EnvironmentId,
    /// The id of its entry in the catalog.
    pub entry: String,
    /// Who has it.
    pub holder: Holder,
    /// The program and its arguments. A program without a slash is looked up in the `PATH` inside.
    pub command: Vec<String>,
    /// What it needs besides the packages of the environment.
    pub packages: Packages,
    /// Variables of its program.
    pub variables: BTreeMap<String, String>,
    /// Variables that hold a secret.
    pub secrets: Vec<HostedSecret>,
    /// How it is spoken to.
    pub transport: HostedTransport,
    /// What it may use; what is `None` is what this server gives to each.
    pub limits: Limits,
}

/// Who has a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// Whoever may use it: there is one of it.
    Everybody,
    /// Whoever is told apart by this: what one does in it, no other one sees.
    One(String),
    /// A session, whose flows those of the server are.
    Session(SessionId),
}

/// How a server is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostedTransport {
    /// Over its standard streams.
    Stdio,
    /// Over HTTP: it listens on loopback, inside.
    Http {
        /// Where.
        port: NonZeroU16,
        /// The path of its endpoint, which begins with `/`.
        path: String,
    },
}

/// A variable that holds a secret.
#[derive(Debug, Clone)]
pub enum HostedSecret {
    /// Inside there is a placeholder. The secret of the credential goes in its place into requests to the hosts that the credential is for.
    Placeholder {
        /// What the variable is called.
        variable: String,
        /// Where the credential is.
        vault: VaultId,
        /// One that stands in a variable.
        credential: CredentialId,
    },
    /// The secret itself, for a server that has to have it: it can be read inside, and sent to wherever the policy allows.
    Value {
        /// What the variable is called.
        variable: String,
        /// What it holds. What the server prints and answers is rid of it.
        secret: SecretText,
        /// Another text for another secret: secrets are not compared.
        version: String,
    },
}

/// What is wrong with a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostedProblem {
    /// There is no program.
    #[error("its command is empty: name a program")]
    NoProgram,
    /// See [`HOSTED_ARGUMENTS`].
    #[error("its command has more than {HOSTED_ARGUMENTS} arguments")]
    TooManyArguments,
    /// See [`HOSTED_VARIABLES`].
    #[error("it has more than {HOSTED_VARIABLES} variables and secrets")]
    TooManyVariables,
    /// See [`HOSTED_COMMAND_BYTES`].
    #[error("its command and variables have more than {HOSTED_COMMAND_BYTES} bytes")]
    TooLong,
    /// What no program can be given.
    #[error("{0:?} is no name of a variable: use letters, digits and _, and no digit first")]
    VariableName(String),
    /// Two of one name.
    #[error("the variable {0} is given twice")]
    VariableTwice(String),
    /// What no program can be given.
    #[error("its command or a variable has a NUL character")]
    Nul,
    /// What is no path of a URL.
    #[error("the path of its endpoint does not begin with / or is no path of a URL")]
    Path,
}

/// Secrets are equal where they are called the same and have the same version.
impl PartialEq for HostedSecret {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Placeholder {
                    variable,
                    vault,
                    credential,
                },
                Self::Placeholder {
                    variable: other_variable,
                    vault: other_vault,
                    credential: other_credential,
                },
            ) => (variable, vault, credential) == (other_variable, other_vault, other_credential),
            (
                Self::Value {
                    variable, version, ..
                },
                Self::Value {
                    variable: other_variable,
                    version: other_version,
                    ..
                },
            ) => (variable, version) == (other_variable, other_version),
            (Self::Placeholder { .. }, Self::Value { .. })
            | (Self::Value { .. }, Self::Placeholder { .. }) => false,
        }
    }
}

impl HostedSecret {
    pub(super) fn variable(&self) -> &str {
        match self {
            Self::Placeholder { variable, .. } | Self::Value { variable, .. } => variable,
        }
    }
}

impl HostedTransport {
    /// See [`HostedServer::url`].
    pub(crate) fn url(&self) -> Result<Url, HostedProblem> {
        let (port, path) = match self {
            Self::Stdio => (80, "/"),
            Self::Http { port, path } => (port.get(), &**path),
        };
        if !path.starts_with('/') {
            return Err(HostedProblem::Path);
        }
        let url = format!("http://127.0.0.1:{port}{path}").parse();
        url.map_err(|_| HostedProblem::Path)
    }
}

impl HostedServer {
    /// Where a gateway thinks that it is; nobody else can ask it there.
    ///
    /// # Errors
    ///
    /// [`HostedProblem::Path`].
    pub fn url(&self) -> Result<Url, HostedProblem> {
        self.transport.url()
    }

    /// Checks what can be wrong with it wherever it runs.
    ///
    /// # Errors
    ///
    /// See [`HostedProblem`].
    pub fn check(&self) -> Result<(), HostedProblem> {
        if self.command.first().is_none_or(String::is_empty) {
            return Err(HostedProblem::NoProgram);
        }
        if self.command.len() > HOSTED_ARGUMENTS {
            return Err(HostedProblem::TooManyArguments);
        }
        if self.variables.len() + self.secrets.len() > HOSTED_VARIABLES {
            return Err(HostedProblem::TooManyVariables);
        }
        let values = self
            .variables
            .iter()
            .flat_map(|(name, value)| [name, value]);
        let texts = || self.command.iter().chain(values.clone());
        if texts().map(String::len).sum::<usize>() > HOSTED_COMMAND_BYTES {
            return Err(HostedProblem::TooLong);
        }
        if texts().any(|text| text.contains('\0')) {
            return Err(HostedProblem::Nul);
        }
        self.check_names()?;
        self.url().map(drop)
    }

    fn check_names(&self) -> Result<(), HostedProblem> {
        let mut known = BTreeSet::new();
        let secrets = self.secrets.iter().map(HostedSecret::variable);
        for name in self.variables.keys().map(String::as_str).chain(secrets) {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let begins = name
                .bytes()
                .next()
                .is_some_and(|first| !first.is_ascii_digit());
            if !begins || !name.bytes().all(is_plain) {
                return Err(HostedProblem::VariableName(name.to_owned()));
            }
            if !known.insert(name) {
                return Err(HostedProblem::VariableTwice(name.to_owned()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_model::ResourceId as _;

    use super::*;

    fn server() -> HostedServer {
        HostedServer {
            organization: OrganizationId::made(0, [1; 10]),
            environment: EnvironmentId::made(0, [2; 10]),
            entry: "entry".to_owned(),
            holder: Holder::Everybody,
            command: vec!["mcp-server".to_owned()],
            packages: Packages::default(),
            variables: BTreeMap::new(),
            secrets: Vec::new(),
            transport: HostedTransport::Stdio,
            limits: Limits::default(),
        }
    }

    fn secret(variable: &str, version: &str) -> HostedSecret {
        HostedSecret::Value {
            variable: variable.to_owned(),
            secret: SecretText::new("x".to_owned()),
            version: version.to_owned(),
        }
    }

    #[test]
    fn what_no_program_can_be_given_is_refused() {
        let refused = |change: fn(&mut HostedServer)| {
            let mut changed = server();
            change(&mut changed);
            changed.check().unwrap_err()
        };
        assert_eq!(server().check(), Ok(()));
        assert_eq!(refused(|it| it.command.clear()), HostedProblem::NoProgram);
        assert_eq!(
            refused(|it| it.command.push("a\0b".to_owned())),
            HostedProblem::Nul
        );
        assert_eq!(
            refused(|it| it.command.push("a".repeat(HOSTED_COMMAND_BYTES))),
            HostedProblem::TooLong
        );
        for name in ["", "1A", "A=B", "A B", "LD\n"] {
            let mut named = server();
            named.variables.insert(name.to_owned(), String::new());
            let problem = HostedProblem::VariableName(name.to_owned());
            assert_eq!(named.check(), Err(problem));
        }
        assert_eq!(
            refused(|it| {
                it.variables.insert("KEY".to_owned(), String::new());
                it.secrets.push(secret("KEY", "1"));
            }),
            HostedProblem::VariableTwice("KEY".to_owned())
        );
        assert_eq!(
            refused(|it| it.transport = HostedTransport::Http {
                port: NonZeroU16::MIN,
                path: "@evil.example.com/".to_owned(),
            }),
            HostedProblem::Path
        );
    }

    #[test]
    fn another_secret_makes_another_server() {
        let with = |version| HostedServer {
            secrets: vec![secret("KEY", version)],
            ..server()
        };
        assert_eq!(with("1"), with("1"));
        assert_ne!(with("1"), with("2"));
    }
}
