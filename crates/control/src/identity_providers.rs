//! Where people sign in instead of with a password, and which of them are let in. The operator decides both; no request changes them.

use bailiwick_model::OrganizationId;
use bailiwick_oidc::{Identity, Provider};
use serde_json::{Map, Value};

use crate::control::Control;
use crate::error::ControlError;
use crate::sign_in_refusal::SignInRefusal;

/// All of a server.
#[derive(Debug, Default)]
pub struct IdentityProviders {
    /// Where browsers reach this server, without a slash at the end; providers send them back there.
    pub public_url: String,
    /// Each.
    pub all: Vec<IdentityProvider>,
}

/// One of them.
#[derive(Debug)]
pub struct IdentityProvider {
    /// What it is called in paths.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// How it is asked.
    pub provider: Provider,
    /// Who is let in.
    pub rules: SignInRules,
}

/// Who of those whom a provider signs in is let in, and as what.
#[derive(Debug, Clone, Default)]
pub struct SignInRules {
    /// The organization; the oldest if none is named.
    pub organization: Option<OrganizationId>,
    /// Domains of addresses of mail, one of which is needed; none if that is no matter.
    pub email_domains: Vec<String>,
    /// A claim that is needed.
    pub claim: Option<NeededClaim>,
    /// The name of the role of whoever is not a member yet; without one only members are let in.
    pub new_members: Option<String>,
}

/// A claim with a value: a text that is this one, or a list that has it.
#[derive(Debug, Clone)]
pub struct NeededClaim {
    /// What it is called.
    pub name: String,
    /// What it says.
    pub value: String,
}

impl Control {
    /// With these identity providers.
    #[must_use]
    pub fn with_identity_providers(self, identity_providers: IdentityProviders) -> Self {
        Self {
            identity_providers,
            ..self
        }
    }

    /// All of them, for whoever would sign in.
    pub fn identity_providers(&self) -> &[IdentityProvider] {
        &self.identity_providers.all
    }

    /// The one that is called so.
    pub(crate) fn identity_provider(&self, name: &str) -> Result<&IdentityProvider, ControlError> {
        let mut all = self.identity_providers.all.iter();
        let found = all.find(|one| one.name == name);
        found.ok_or(ControlError::NotFound("identity provider"))
    }

    /// Where a provider sends browsers back to; another one for each, so that none answers for another.
    pub(crate) fn redirect_uri(&self, provider: &IdentityProvider) -> String {
        let (base, name) = (&self.identity_providers.public_url, &provider.name);
        format!("{base}/api/identity-providers/{name}/callback")
    }
}

impl IdentityProvider {
    /// The claims that rules ask for.
    pub fn claims(rules: &SignInRules) -> Vec<String> {
        let claim = rules.claim.iter().map(|claim| claim.name.clone());
        claim.chain(["email".to_owned()]).collect()
    }
}

impl SignInRules {
    /// Lets somebody in, or says why not.
    pub(crate) fn check(&self, identity: &Identity) -> Result<(), SignInRefusal> {
        if let Some(claim) = &self.claim
            && !claim.is_in(&identity.claims)
        {
            return Err(SignInRefusal::Claim);
        }
        if self.email_domains.is_empty() {
            return Ok(());
        }
        let email = verified_email(identity).ok_or(SignInRefusal::NoVerifiedEmail)?;
        let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain);
        let mut domains = self.email_domains.iter();
        if domains.any(|one| one.eq_ignore_ascii_case(domain)) {
            Ok(())
        } else {
            Err(SignInRefusal::Domain)
        }
    }
}

impl NeededClaim {
    fn is_in(&self, claims: &Map<String, Value>) -> bool {
        match claims.get(&self.name) {
            Some(Value::String(text)) => *text == self.value,
            Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(&self.value)),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
                false
            }
        }
    }
}

/// The address of mail, if the provider says that it is theirs; some say so in a text.
pub(crate) fn verified_email(identity: &Identity) -> Option<&str> {
    let is_verified = match identity.claims.get("email_verified")? {
        Value::Bool(verified) => *verified,
        Value::String(text) => text == "true",
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    };
    let email = identity.claims.get("email")?.as_str()?;
    is_verified.then_some(email)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity(claims: &Value) -> Identity {
        Identity {
            issuer: "https://login.example.com".to_owned(),
            subject: "1".to_owned(),
            claims: claims.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn only_a_verified_address_of_one_of_the_domains_is_let_in() {
        let rules = SignInRules {
            email_domains: vec!["Example.com".to_owned()],
            ..SignInRules::default()
        };
        let check = |email: &str, verified: Value| {
            rules.check(&identity(
                &json!({"email": email, "email_verified": verified}),
            ))
        };
        for email in ["ann@example.com", "ann@EXAMPLE.COM", "\"a@b\"@example.com"] {
            check(email, json!(true)).unwrap();
            check(email, json!("true")).unwrap();
            for no in [json!(false), json!("false"), json!(null), json!(1)] {
                let refused = check(email, no).unwrap_err();
                assert!(matches!(refused, SignInRefusal::NoVerifiedEmail));
            }
        }
        for email in [
            "ann@evil.com",
            "ann@sub.example.com",
            "ann@notexample.com",
            "ann@example.com@evil.com",
            "ann@example.com.",
            "example.com",
            "",
        ] {
            let refused = check(email, json!(true)).unwrap_err();
            assert!(matches!(refused, SignInRefusal::Domain), "{email}");
        }
    }

    #[test]
    fn a_needed_claim_is_a_text_or_in_a_list() {
        let claim = NeededClaim {
            name: "groups".to_owned(),
            value: "bailiwick".to_owned(),
        };
        let rules = SignInRules {
            claim: Some(claim),
            ..SignInRules::default()
        };
        for groups in [json!("bailiwick"), json!(["a", "bailiwick"])] {
            rules.check(&identity(&json!({"groups": groups}))).unwrap();
        }
        for claims in [
            json!({}),
            json!({"groups": null}),
            json!({"groups": true}),
            json!({"groups": "bailiwick admins"}),
            json!({"groups": ["a"]}),
            json!({"groups": {"bailiwick": true}}),
            json!({"group": "bailiwick"}),
        ] {
            let refused = rules.check(&identity(&claims)).unwrap_err();
            assert!(matches!(refused, SignInRefusal::Claim), "{claims}");
        }
    }
}
