//! The policy of a sandbox and its credentials, on their way to a host, which compiles and parses them itself.
//!
//! Secrets are written in hexadecimal digits: text without escapes is read where it lies, so that no parser makes a copy. Every buffer
//! that holds one is wiped.

use std::str::FromStr;
use std::sync::Arc;

use bailiwick_model::SecretText;
use bailiwick_policy::{
    CredentialHost, CredentialHosts, FieldName, HeaderFields, HeaderProjection, InForce,
    PlaceholderProjection, Projections, Uncompiled,
};
use bailiwick_runtime::Error;
use bailiwick_sandbox::channel::Encoded;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// What is in force, as JSON that is read when it is compiled: if that fails, what it came for is refused, and nothing else.
#[derive(Clone)]
pub(super) struct PolicyText(Zeroizing<String>);

impl Serialize for PolicyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PolicyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: Box<str> = Box::<RawValue>::deserialize(deserializer)?.into();
        Ok(Self(Zeroizing::new(text.into())))
    }
}

impl PolicyText {
    pub(super) fn of(in_force: &InForce) -> Result<Self, Error> {
        let backend = |error: Box<dyn std::error::Error + Send + Sync>| Error::Backend(error);
        let encoded = Encoded::new(&Written::of(in_force)).map_err(|e| backend(e.into()))?;
        let text = str::from_utf8(encoded.as_bytes()).map_err(|e| backend(e.into()))?;
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    pub(super) fn compile(&self) -> Result<InForce, Error> {
        match serde_json::from_str::<Written>(&self.0).map(Written::compile) {
            Ok(Ok(in_force)) => Ok(in_force),
            Ok(Err(error)) => Err(does_not_compile(error.to_string())),
            Err(error) => Err(does_not_compile(error.to_string())),
        }
    }
}

fn does_not_compile(why: String) -> Error {
    Error::Refused {
        feature: "a policy that compiles".into(),
        remedy: Some(why.into()),
    }
}

/// What is in force. Every field must be there: nothing is allowed by being left out.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    policy: Uncompiled,
    may_have_credentials: bool,
    placeholders: Vec<WrittenPlaceholder>,
    headers: Vec<WrittenHeader>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPlaceholder {
    placeholder: String,
    secret: Hexadecimal,
    /// `None` is every host that the policy allows.
    hosts: Option<Vec<String>>,
    headers: WrittenFields,
    body: bool,
}

#[derive(Serialize, Deserialize)]
enum WrittenFields {
    None,
    All,
    Named(Vec<String>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHeader {
    host: String,
    path: String,
    name: String,
    value: Hexadecimal,
}

/// A part that does not parse, although it was written from a value that had been parsed.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
struct Unreadable {
    what: &'static str,
    why: String,
}

impl Written {
    fn of(in_force: &InForce) -> Self {
        let InForce {
            policy,
            projections,
        } = in_force;
        let placeholders = projections.placeholders().iter();
        let headers = projections.headers().iter();
        Self {
            policy: policy.uncompiled().clone(),
            may_have_credentials: projections.may_have_credentials(),
            placeholders: placeholders.map(WrittenPlaceholder::of).collect(),
            headers: headers.map(WrittenHeader::of).collect(),
        }
    }

    fn compile(self) -> Result<InForce, Unreadable> {
        let placeholders = self.placeholders.into_iter();
        let headers = self.headers.into_iter();
        let placeholders: Vec<_> = placeholders
            .map(WrittenPlaceholder::parse)
            .collect::<Result<_, _>>()?;
        let headers: Vec<_> = headers
            .map(WrittenHeader::parse)
            .collect::<Result<_, _>>()?;
        let projections = if self.may_have_credentials {
            Projections::new(placeholders, headers)
        } else {
            Projections::none()
        };
        Ok(InForce {
            policy: Arc::new(self.policy.compile()),
            projections: Arc::new(projections),
        })
    }
}

impl WrittenPlaceholder {
    fn of(projection: &PlaceholderProjection) -> Self {
        let PlaceholderProjection {
            placeholder,
            secret,
            hosts,
            headers,
            body,
        } = projection;
        Self {
            placeholder: placeholder.as_str().to_owned(),
            secret: Hexadecimal(secret.clone()),
            hosts: match hosts {
                CredentialHosts::Unrestricted => None,
                CredentialHosts::Limited(hosts) => {
                    Some(hosts.iter().map(ToString::to_string).collect())
                }
            },
            headers: match headers {
                HeaderFields::None => WrittenFields::None,
                HeaderFields::All => WrittenFields::All,
                HeaderFields::Named(names) => {
                    WrittenFields::Named(names.iter().map(ToString::to_string).collect())
                }
            },
            body: *body,
        }
    }

    fn parse(self) -> Result<PlaceholderProjection, Unreadable> {
        let hosts = |hosts: Vec<String>| -> Result<Vec<CredentialHost>, Unreadable> {
            hosts.iter().map(|host| parsed("host", host)).collect()
        };
        let names = |names: Vec<String>| -> Result<Vec<FieldName>, Unreadable> {
            names.iter().map(|name| parsed("header", name)).collect()
        };
        Ok(PlaceholderProjection {
            placeholder: parsed("placeholder", &self.placeholder)?,
            secret: self.secret.0,
            hosts: match self.hosts {
                None => CredentialHosts::Unrestricted,
                Some(limited) => CredentialHosts::Limited(hosts(limited)?),
            },
            headers: match self.headers {
                WrittenFields::None => HeaderFields::None,
                WrittenFields::All => HeaderFields::All,
                WrittenFields::Named(named) => HeaderFields::Named(names(named)?),
            },
            body: self.body,
        })
    }
}

impl WrittenHeader {
    fn of(projection: &HeaderProjection) -> Self {
        let HeaderProjection {
            host,
            path,
            name,
            value,
        } = projection;
        Self {
            host: host.to_string(),
            path: path.to_string(),
            name: name.to_string(),
            value: Hexadecimal(value.clone()),
        }
    }

    fn parse(self) -> Result<HeaderProjection, Unreadable> {
        Ok(HeaderProjection {
            host: parsed("host", &self.host)?,
            path: parsed("path", &self.path)?,
            name: parsed("header", &self.name)?,
            value: self.value.0,
        })
    }
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(
    what: &'static str,
    text: &str,
) -> Result<T, Unreadable> {
    text.parse().map_err(|error: T::Err| Unreadable {
        what,
        why: error.to_string(),
    })
}

/// A secret as two digits a byte.
struct Hexadecimal(SecretText);

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl Serialize for Hexadecimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let secret = self.0.reveal().as_bytes();
        let mut text = Zeroizing::new(String::with_capacity(2 * secret.len()));
        for byte in secret {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from(DIGITS[usize::from(digit)]));
            }
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Hexadecimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        let wrong = || de::Error::custom("a secret is not written in pairs of digits");
        let mut secret = Zeroizing::new(Vec::with_capacity(text.len() / 2));
        for pair in text.as_bytes().chunks(2) {
            let pair = str::from_utf8(pair).ok().filter(|pair| pair.len() == 2);
            let byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
            secret.push(byte.ok_or_else(wrong)?);
        }
        let secret = String::from_utf8(std::mem::take(&mut *secret)).map_err(|_| wrong())?;
        Ok(Self(SecretText::new(secret)))
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_policy::{EgressPolicy, OrganizationFloor, SessionGrants, effective};

    use super::*;

    fn in_force() -> InForce {
        let policy = EgressPolicy {
            allowed_hosts: vec!["*.example.com:8443".parse().unwrap()],
            allowed_cidrs: vec!["[fd12::/32]:5432".parse().unwrap()],
            presets: vec!["package_managers".parse().unwrap()],
            ..EgressPolicy::limited()
        };
        let floor = OrganizationFloor {
            denied_hosts: vec!["*.prod.example".parse().unwrap()],
            denied_cidrs: vec!["10.0.0.0/8".parse().unwrap()],
        };
        let narrower = EgressPolicy {
            denied_hosts: vec!["narrower.example".parse().unwrap()],
            ..EgressPolicy::unrestricted()
        };
        let name = "payments".parse().unwrap();
        let policy = effective(Some((name, policy)), None);
        let placeholder = PlaceholderProjection {
            placeholder: bailiwick_policy::Placeholder::of([7; 16]),
            secret: SecretText::new("canary \"\\\n\u{e9}".to_owned()),
            hosts: CredentialHosts::Limited(vec!["192.0.2.1".parse().unwrap()]),
            headers: HeaderFields::Named(vec!["authorization".parse().unwrap()]),
            body: true,
        };
        let header = HeaderProjection {
            host: "github.com".parse().unwrap(),
            path: "/owner/repository".parse().unwrap(),
            name: "authorization".parse().unwrap(),
            value: SecretText::new("Basic canary".to_owned()),
        };
        InForce {
            policy: Arc::new(
                Uncompiled {
                    effective: policy,
                    narrowed_by: vec![effective(None, Some(narrower))],
                    organization: floor,
                    grants: SessionGrants::none(),
                }
                .compile(),
            ),
            projections: Arc::new(Projections::new(vec![placeholder], vec![header])),
        }
    }

    #[test]
    fn what_is_in_force_arrives_as_it_was() {
        let sent = in_force();
        let text = PolicyText::of(&sent).unwrap();
        assert!(!text.0.contains("canary"), "secrets are in digits");
        let message = serde_json::to_string(&text).unwrap();
        let arrived: PolicyText = serde_json::from_str(&message).unwrap();
        let arrived = arrived.compile().unwrap();
        assert_eq!(arrived.policy.uncompiled(), sent.policy.uncompiled());
        assert_eq!(
            format!("{:?}", arrived.policy.rules()),
            format!("{:?}", sent.policy.rules())
        );
        assert_eq!(
            format!("{:?}", arrived.projections),
            format!("{:?}", sent.projections)
        );
        let secrets = |in_force: &InForce| {
            let placeholders = in_force.projections.placeholders().iter();
            let headers = in_force.projections.headers().iter();
            let placeholders = placeholders.map(|p| p.secret.reveal().to_owned());
            let headers = headers.map(|h| h.value.reveal().to_owned());
            placeholders.chain(headers).collect::<Vec<_>>()
        };
        assert_eq!(secrets(&arrived), secrets(&sent));
    }

    #[test]
    fn a_policy_with_anything_missing_or_unknown_is_refused() {
        let text = PolicyText::of(&in_force()).unwrap();
        let refused = |changed: String| {
            let text = PolicyText(Zeroizing::new(changed));
            matches!(text.compile(), Err(Error::Refused { .. }))
        };
        assert!(!refused(text.0.to_string()), "control");
        for (from, to) in [
            ("\"mode\":\"limited\",", ""),
            ("\"limited\"", "\"open\""),
            ("\"denied_hosts\"", "\"denied\""),
            ("\"narrowed_by\"", "\"widened_by\""),
            ("narrower.example", "*"),
            ("*.example.com:8443", "*"),
            ("10.0.0.0/8", "10.0.0.1/8"),
            ("package_managers", "everything"),
            ("\"secret\":\"63", "\"secret\":\"zz"),
        ] {
            assert!(text.0.contains(from), "{from}");
            assert!(refused(text.0.replace(from, to)), "{from}");
        }
        for part in ["", "null", "{}"] {
            assert!(refused(part.to_owned()), "{part:?}");
        }
    }
}
