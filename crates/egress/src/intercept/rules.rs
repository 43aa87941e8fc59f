//! What is done to the requests of one destination, and to their answers: a sandbox's credentials as texts to look for.

use std::sync::Arc;

use bailiwick_model::{Destination, SecretText, limits};
use bailiwick_policy::{
    FieldName, HeaderFields, HeaderProjection, PlaceholderProjection, Projections,
};
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine as _};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use zeroize::Zeroizing;

use super::rewrite::{Replacement, Texts};

/// As tools write it, and with or without the padding, as they do.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What is done to requests, made of the projections that were in force when it was made.
#[derive(Debug)]
pub(super) struct Rules {
    /// In which header fields each placeholder of `in_headers` is replaced.
    fields: Vec<HeaderFields>,
    in_headers: Texts,
    pub(super) in_bodies: Arc<Texts>,
    set: Vec<HeaderProjection>,
    secrets: Vec<Secret>,
}

pub(super) type Secret = Zeroizing<Vec<u8>>;

impl Rules {
    pub(super) fn at(projections: &Projections, destination: &Destination) -> Self {
        let placeholders: Vec<_> = projections.placeholders_at(destination).collect();
        let set: Vec<_> = projections.headers_at(destination).cloned().collect();
        let in_headers = placeholders
            .iter()
            .filter(|projection| projection.headers != HeaderFields::None);
        let in_bodies = placeholders.iter().filter(|projection| projection.body);
        let own = placeholders
            .iter()
            .map(|projection| bytes(&projection.secret));
        Self {
            fields: in_headers
                .clone()
                .map(|projection| projection.headers.clone())
                .collect(),
            in_headers: Texts::new(in_headers.map(|projection| replacing(projection)).collect()),
            in_bodies: Arc::new(Texts::new(
                in_bodies.map(|projection| replacing(projection)).collect(),
            )),
            secrets: own.chain(set.iter().flat_map(secrets_of_value)).collect(),
            set,
        }
    }

    /// Puts secrets into the header fields of a request for `path`. The answer is what of them no secret is by itself: texts that were
    /// encoded with a secret inside.
    pub(super) fn project(&self, headers: &mut HeaderMap, path: &str) -> Vec<Secret> {
        let mut encoded = Vec::new();
        for (name, value) in headers.iter_mut() {
            if FieldName::is_of_the_connection(name.as_str()) {
                continue;
            }
            let wanted = |number: usize| self.fields[number].contain(name.as_str());
            let replaced = self
                .in_headers
                .replaced(value.as_bytes(), wanted)
                .or_else(|| {
                    let basic = self.basic(name, value, wanted)?;
                    encoded.push(Zeroizing::new(basic[BASIC.len()..].to_vec()));
                    Some(basic)
                });
            // A secret that cannot be in a header field is not sent: its placeholder goes out as it is.
            if let Some(mut secret) =
                replaced.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok())
            {
                secret.set_sensitive(true);
                *value = secret;
            }
        }
        // Of two that set one field the first counts.
        for projection in self.set.iter().rev().filter(|set| set.path.covers(path)) {
            let name = HeaderName::try_from(projection.name.as_str());
            let value = HeaderValue::from_str(projection.value.reveal());
            if let (Ok(name), Ok(mut value)) = (name, value) {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        encoded
    }

    /// A placeholder within `Basic` (RFC 7617), which git and other tools send names and passwords by.
    fn basic(
        &self,
        name: &HeaderName,
        value: &HeaderValue,
        wanted: impl Fn(usize) -> bool,
    ) -> Option<Secret> {
        if name != AUTHORIZATION && name != PROXY_AUTHORIZATION {
            return None;
        }
        let (scheme, rest) = value.as_bytes().split_at_checked(BASIC.len())?;
        if !scheme.eq_ignore_ascii_case(BASIC.as_bytes()) {
            return None;
        }
        let decoded = Zeroizing::new(BASE64.decode(rest.trim_ascii()).ok()?);
        let replaced = self.in_headers.replaced(&decoded, wanted)?;
        let text = Zeroizing::new(BASE64.encode(&replaced));
        Some(Zeroizing::new([BASIC.as_bytes(), text.as_bytes()].concat()))
    }

    /// All secrets for this destination.
    pub(super) fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// What must not come back. `encoded` is what earlier requests of the connection had secrets in.
    pub(super) fn redacted<'a>(&'a self, encoded: impl Iterator<Item = &'a Secret>) -> Texts {
        let long = self.secrets.iter().chain(encoded);
        let long = long.filter(|secret| secret.len() >= limits::REDACTED_LEAST_BYTES);
        Texts::new(
            long.map(|secret| (secret.clone(), Replacement::Asterisks))
                .collect(),
        )
    }
}

const BASIC: &str = "Basic ";

fn bytes(text: &SecretText) -> Secret {
    Zeroizing::new(text.reveal().as_bytes().to_vec())
}

fn replacing(projection: &PlaceholderProjection) -> (Secret, Replacement) {
    let placeholder = Zeroizing::new(projection.placeholder.as_str().as_bytes().to_vec());
    (placeholder, Replacement::Text(bytes(&projection.secret)))
}

/// A header's whole value, what follows its scheme, and the password in that.
fn secrets_of_value(projection: &HeaderProjection) -> Vec<Secret> {
    let value = projection.value.reveal();
    let mut secrets = vec![bytes(&projection.value)];
    if let Some((scheme, rest)) = value.split_once(' ') {
        secrets.push(Zeroizing::new(rest.as_bytes().to_vec()));
        let decoded = BASE64.decode(rest.trim()).map(Zeroizing::new);
        let decoded = decoded
            .ok()
            .filter(|_| scheme.eq_ignore_ascii_case("basic"));
        if let Some(decoded) = decoded {
            let colon = decoded.iter().position(|&byte| byte == b':');
            secrets.push(Zeroizing::new(
                decoded[colon.map_or(0, |colon| colon + 1)..].to_vec(),
            ));
        }
    }
    secrets
}

/// Takes secrets out of the header fields of an answer. A field whose very name holds one goes.
pub(super) fn redact(texts: &Texts, headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .keys()
        .filter(|name| texts.are_in_ignoring_case(name.as_str().as_bytes()))
        .cloned()
        .collect();
    for name in named {
        headers.remove(name);
    }
    for value in headers.values_mut() {
        let replaced = texts.replaced(value.as_bytes(), |_| true);
        if let Some(redacted) = replaced.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok()) {
            *value = redacted;
        }
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_model::{Host, Protocol};
    use bailiwick_policy::{CredentialHosts, Placeholder, normalise_host};

    use super::*;

    const SECRET: &str = "s3cret-canary";

    fn rules(fields: HeaderFields, secret: &str, set: &[(&str, &str, &str)]) -> (String, Rules) {
        let placeholder = Placeholder::of([9; 16]);
        let text = placeholder.to_string();
        let projections = Projections::new(
            vec![PlaceholderProjection {
                placeholder,
                secret: SecretText::new(secret.to_owned()),
                hosts: CredentialHosts::Unrestricted,
                headers: fields,
                body: true,
            }],
            set.iter()
                .map(|(path, name, value)| HeaderProjection {
                    host: "a.test".parse().unwrap(),
                    path: path.parse().unwrap(),
                    name: name.parse().unwrap(),
                    value: SecretText::new((*value).to_owned()),
                })
                .collect(),
        );
        let destination = Destination {
            host: Host::Name(normalise_host("a.test").unwrap()),
            port: 443,
            protocol: Protocol::Tcp,
        };
        (text, Rules::at(&projections, &destination))
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        });
        pairs.collect()
    }

    fn projected(rules: &Rules, name: &str, value: &str, path: &str) -> String {
        let mut headers = headers(&[(name, value)]);
        rules.project(&mut headers, path);
        String::from_utf8(headers[name].as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_placeholder_is_replaced_in_values_of_fields_that_are_not_the_connections() {
        let (placeholder, rules) = rules(HeaderFields::All, SECRET, &[]);
        let bearer = format!("Bearer {placeholder}");
        assert_eq!(
            projected(&rules, "authorization", &bearer, "/"),
            "Bearer s3cret-canary"
        );
        assert_eq!(projected(&rules, "x-key", &placeholder, "/"), SECRET);
        for name in ["host", "te", "connection", "content-length", "upgrade"] {
            assert_eq!(
                projected(&rules, name, &placeholder, "/"),
                placeholder,
                "{name}"
            );
        }
    }

    #[test]
    fn a_list_of_fields_narrows_where_it_is_replaced() {
        let named = HeaderFields::Named(vec!["X-Key".parse().unwrap()]);
        let (placeholder, rules) = rules(named, SECRET, &[]);
        assert_eq!(projected(&rules, "x-key", &placeholder, "/"), SECRET);
        assert_eq!(
            projected(&rules, "user-agent", &placeholder, "/"),
            placeholder
        );
    }

    #[test]
    fn a_placeholder_is_replaced_within_basic_and_what_comes_of_it_is_redacted() {
        let (placeholder, rules) = rules(HeaderFields::All, SECRET, &[]);
        let sent = format!("basic {}", BASE64.encode(format!("user:{placeholder}")));
        let mut headers = headers(&[("authorization", &sent)]);
        let encoded = rules.project(&mut headers, "/");
        let expected = BASE64.encode(format!("user:{SECRET}"));
        assert_eq!(headers["authorization"], format!("Basic {expected}"));
        let texts = rules.redacted(encoded.iter());
        assert!(texts.are_in(expected.as_bytes()) && texts.are_in(SECRET.as_bytes()));
    }

    #[test]
    fn a_secret_that_would_end_a_header_field_is_not_sent() {
        let (placeholder, rules) = rules(HeaderFields::All, "a\r\nX-Injected: 1", &[]);
        assert_eq!(projected(&rules, "x-key", &placeholder, "/"), placeholder);
    }

    #[test]
    fn a_header_is_set_over_what_was_sent_for_its_paths_alone() {
        let set = [
            ("/owner/name", "authorization", "Bearer first"),
            ("/owner", "authorization", "Bearer second"),
        ];
        let (_, rules) = rules(HeaderFields::None, SECRET, &set);
        let sent = |path: &str| projected(&rules, "authorization", "own", path);
        assert_eq!(sent("/owner/name.git/info/refs?a=b"), "Bearer first");
        assert_eq!(sent("/owner/other"), "Bearer second");
        assert_eq!(sent("/owner/name/../../else"), "own");
        assert_eq!(sent("/else"), "own");
    }

    #[test]
    fn secrets_are_taken_out_of_fields_and_names_of_answers() {
        let password = BASE64.encode("user:a-long-password");
        let set = [("/", "authorization", &*format!("Basic {password}"))];
        let (_, rules) = rules(HeaderFields::All, SECRET, &set);
        let texts = rules.redacted([].iter());
        let mut answer = headers(&[
            ("x-echo", "was s3cret-canary!"),
            ("x-basic", &password),
            ("x-password", "a-long-password"),
            ("x-s3cret-canary", "1"),
            ("x-other", "kept"),
        ]);
        redact(&texts, &mut answer);
        assert_eq!(answer["x-echo"], "was *************!");
        assert!(
            answer["x-basic"]
                .as_bytes()
                .iter()
                .all(|byte| *byte == b'*')
        );
        assert_eq!(answer["x-password"], "***************");
        assert_eq!(answer["x-other"], "kept");
        assert_eq!(answer.len(), 4);
    }

    #[test]
    fn a_short_secret_is_not_redacted_since_its_absence_would_tell_it() {
        let (_, rules) = rules(HeaderFields::All, "abc", &[]);
        assert!(rules.redacted([].iter()).is_empty());
    }
}
