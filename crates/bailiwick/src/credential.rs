//! `--credential`: a secret of a file that goes to some hosts, and what stands for it inside.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::str::FromStr;

use bailiwick_model::{SecretText, limits};
use bailiwick_policy::{
    CredentialHost, CredentialHostError, CredentialHosts, FieldName, FieldNameError, HeaderFields,
    Placeholder, PlaceholderProjection,
};

use crate::bad_input::BadInput;

/// What was typed: `NAME=FILE,host=HOST[,host=HOST][,in=header|body][,field=NAME]`.
#[derive(Debug, Clone)]
pub(crate) struct CredentialArgument {
    name: String,
    file: PathBuf,
    hosts: Vec<CredentialHost>,
    headers: bool,
    body: bool,
    fields: Vec<FieldName>,
}

/// Why a text is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidCredential {
    #[error(
        "write NAME=FILE,host=HOST: the variable, the file that holds the secret, and a host that it may go to"
    )]
    Form,
    #[error("{0:?} is not the name of a variable: letters, digits and `_`, and no digit first")]
    Name(String),
    #[error("name a host that the secret may go to: host=api.example.com")]
    NoHost,
    #[error("{host:?}: {error}")]
    Host {
        host: String,
        error: CredentialHostError,
    },
    #[error("more than {} hosts", limits::CREDENTIAL_HOSTS)]
    Hosts,
    #[error("a placeholder is replaced in=header or in=body, not in={0}")]
    Place(String),
    #[error(transparent)]
    Field(#[from] FieldNameError),
    #[error("{0:?} is none of host=, in= and field=")]
    Option(String),
}

impl FromStr for CredentialArgument {
    type Err = InvalidCredential;

    fn from_str(text: &str) -> Result<Self, InvalidCredential> {
        let mut parts = text.split(',');
        let first = parts.next().and_then(|first| first.split_once('='));
        let (name, file) = first.ok_or(InvalidCredential::Form)?;
        if !is_name(name) {
            return Err(InvalidCredential::Name(name.to_owned()));
        }
        let mut argument = Self {
            name: name.to_owned(),
            file: file.into(),
            hosts: Vec::new(),
            headers: false,
            body: false,
            fields: Vec::new(),
        };
        for part in parts {
            let (key, value) = part.split_once('=').ok_or(InvalidCredential::Form)?;
            argument.set(key, value)?;
        }
        argument.complete()
    }
}

impl CredentialArgument {
    fn set(&mut self, key: &str, value: &str) -> Result<(), InvalidCredential> {
        match (key, value) {
            ("host", host) => {
                let parsed = host.parse().map_err(|error| InvalidCredential::Host {
                    host: host.to_owned(),
                    error,
                })?;
                self.hosts.push(parsed);
            }
            ("in", "header") => self.headers = true,
            ("in", "body") => self.body = true,
            ("in", other) => return Err(InvalidCredential::Place(other.to_owned())),
            ("field", name) => self.fields.push(name.parse()?),
            (other, _) => return Err(InvalidCredential::Option(other.to_owned())),
        }
        Ok(())
    }

    /// Without a place it is headers: what is written to a body may be read again.
    fn complete(mut self) -> Result<Self, InvalidCredential> {
        self.headers |= !self.body || !self.fields.is_empty();
        match self.hosts.len() {
            0 => Err(InvalidCredential::NoHost),
            count if count > limits::CREDENTIAL_HOSTS => Err(InvalidCredential::Hosts),
            _ => Ok(self),
        }
    }
}

fn is_name(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
}

/// A credential whose secret is not read yet: a launch copies this process's memory.
#[derive(Debug)]
pub(crate) struct Credential {
    argument: CredentialArgument,
    placeholder: Placeholder,
    /// Open since the arguments were checked.
    file: File,
}

impl Credential {
    /// Opens the file.
    ///
    /// # Errors
    ///
    /// [`BadInput::Unreadable`].
    pub(crate) fn open(argument: CredentialArgument) -> Result<Self, BadInput> {
        let file = File::open(&argument.file).map_err(|source| BadInput::Unreadable {
            path: argument.file.clone(),
            source,
        })?;
        Ok(Self {
            placeholder: Placeholder::of(crate::images::random()),
            argument,
            file,
        })
    }

    /// The variable inside, and what it holds there.
    pub(crate) fn variable(&self) -> (&str, &str) {
        (&self.argument.name, self.placeholder.as_str())
    }

    /// Refuses a file that is shown inside: it would be read there.
    ///
    /// # Errors
    ///
    /// [`BadInput::SecretWithin`].
    pub(crate) fn refuse_within<'a>(
        &self,
        mut shown: impl Iterator<Item = &'a PathBuf>,
    ) -> Result<(), BadInput> {
        // Where the opened file is, whatever was typed.
        let descriptor = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let file = std::fs::read_link(descriptor).unwrap_or_else(|_| self.argument.file.clone());
        match shown.find(|directory| file.starts_with(directory)) {
            None => Ok(()),
            Some(directory) => Err(BadInput::SecretWithin {
                directory: directory.clone(),
                file,
            }),
        }
    }

    /// The hosts by name, which the credential brings along.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &CredentialHost> {
        self.argument.hosts.iter()
    }

    /// Reads the secret. Only after the launch.
    ///
    /// # Errors
    ///
    /// [`BadInput`], which never shows what was read.
    pub(crate) fn reveal(self) -> Result<PlaceholderProjection, BadInput> {
        let path = self.argument.file;
        let limit = limits::SECRET_VALUE_CHARS;
        let mut text = String::new();
        let read = self.file.take(limit as u64 + 3).read_to_string(&mut text);
        let text = SecretText::new(text);
        if let Err(source) = read {
            return Err(BadInput::Unreadable { path, source });
        }
        let secret = text.reveal();
        let secret = secret.strip_suffix('\n').unwrap_or(secret);
        let secret = secret.strip_suffix('\r').unwrap_or(secret);
        if secret.is_empty() {
            return Err(BadInput::NoSecret(path.display().to_string().into()));
        }
        if secret.chars().count() > limit {
            return Err(BadInput::TooLarge { path, limit });
        }
        Ok(PlaceholderProjection {
            placeholder: self.placeholder,
            secret: SecretText::new(secret.to_owned()),
            hosts: CredentialHosts::Limited(self.argument.hosts),
            headers: match (self.argument.headers, self.argument.fields) {
                (false, _) => HeaderFields::None,
                (true, fields) if fields.is_empty() => HeaderFields::All,
                (true, fields) => HeaderFields::Named(fields),
            },
            body: self.argument.body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<CredentialArgument>().unwrap_err().to_string()
    }

    #[test]
    fn a_credential_needs_a_variable_a_file_and_a_host() {
        assert!(
            "TOKEN=/run/token,host=api.example.com"
                .parse::<CredentialArgument>()
                .is_ok()
        );
        assert!(refused("TOKEN").starts_with("write NAME=FILE,host=HOST"));
        assert!(refused("TOKEN=/run/token").contains("name a host"));
        assert!(refused("1T=/run/token,host=a.example").contains("not the name of a variable"));
        assert!(refused("T=/t,host=https://a.example").contains("https://a.example"));
        assert!(refused("T=/t,host=a.example,in=query").contains("in=query"));
        assert!(refused("T=/t,host=a.example,field=Host").contains("host"));
        assert!(refused("T=/t,host=a.example,hots=b").contains("hots"));
    }

    #[test]
    fn without_a_place_it_goes_into_headers_alone() {
        let places = |text: &str| {
            let argument: CredentialArgument =
                format!("T=/t,host=a.example{text}").parse().unwrap();
            (argument.headers, argument.body)
        };
        assert_eq!(places(""), (true, false));
        assert_eq!(places(",in=body"), (false, true));
        assert_eq!(places(",in=body,in=header"), (true, true));
        assert_eq!(places(",in=body,field=x-key"), (true, true));
    }
}
