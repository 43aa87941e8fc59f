//! The ids of what an organization has: a prefix that says what it is, and 22 characters that sort by when it was made.
//!
//! The 22 characters are 128 bits in the layout of UUID version 7 (RFC 9562, section 5.7), written in base 58 with its digits in the order of
//! ASCII, so that sorting ids as bytes sorts what they name by age. Clients take them as opaque.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Base 58 in ASCII order: no `0`, `I`, `O` or `l`.
const DIGITS: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// 58^22 is the first power above 2^128.
const LENGTH: usize = 22;
/// As many digits as fit 64 bits.
const DIGITS_OF_CHUNK: usize = 10;
const CHUNK: u128 = 58_u128.pow(DIGITS_OF_CHUNK as u32);

/// Not an id of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not the id of {kind}: such ids begin with {prefix:?}")]
pub struct NotAnId {
    /// What was asked for, such as `an environment`.
    pub kind: &'static str,
    /// What its ids begin with.
    pub prefix: &'static str,
}

/// What every kind of id can do.
pub trait ResourceId: Clone + Eq + fmt::Display + FromStr<Err = NotAnId> + Send + Sync {
    /// What its ids begin with, with the underscore.
    const PREFIX: &'static str;

    /// An id made at this moment, in milliseconds since 1970, from 80 random bits.
    fn made(at_ms: u64, random: [u8; 10]) -> Self;

    /// The id as text.
    fn as_str(&self) -> &str;
}

fn digits_of(at_ms: u64, random: [u8; 10]) -> [u8; LENGTH] {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&at_ms.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&random);
    bytes[6] = bytes[6] & 0x0f | 0x70;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut rest = u128::from_be_bytes(bytes);
    let mut digits = [0; LENGTH];
    // Few divisions of 128 bits, which a processor does not have.
    for some in digits.rchunks_mut(DIGITS_OF_CHUNK) {
        let mut chunk = (rest % CHUNK) as u64;
        rest /= CHUNK;
        for digit in some.iter_mut().rev() {
            *digit = DIGITS[(chunk % 58) as usize];
            chunk /= 58;
        }
    }
    digits
}

/// For each byte, whether it is one of [`DIGITS`].
const IS_DIGIT: [bool; 256] = {
    let mut is_digit = [false; 256];
    let mut index = 0;
    while index < DIGITS.len() {
        is_digit[DIGITS[index] as usize] = true;
        index += 1;
    }
    is_digit
};

macro_rules! resource_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal $(or $other:literal)?, $kind:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl ResourceId for $name {
            const PREFIX: &'static str = $prefix;

            fn made(at_ms: u64, random: [u8; 10]) -> Self {
                let digits = digits_of(at_ms, random).map(char::from);
                Self(Self::PREFIX.chars().chain(digits).collect())
            }

            fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let digits = text.strip_prefix(Self::PREFIX)$(.or_else(|| text.strip_prefix($other)))?;
                let digits = digits.unwrap_or_default();
                if digits.len() == LENGTH && digits.bytes().all(|digit| IS_DIGIT[usize::from(digit)]) {
                    return Ok(Self([Self::PREFIX, digits].concat()));
                }
                Err(NotAnId { kind: $kind, prefix: Self::PREFIX })
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAnId;

            fn try_from(text: String) -> Result<Self, NotAnId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

resource_ids! {
    /// An organization: the boundary that no query crosses.
    OrganizationId = "org_", "an organization";
    /// A person who can sign in.
    UserId = "user_", "a user";
    /// A group of members.
    TeamId = "team_", "a team";
    /// A named set of permissions.
    RoleId = "role_", "a role";
    /// Something that acts and is no person.
    ServiceAccountId = "sa_", "a service account";
    /// A key that a program authenticates with.
    ApiKeyId = "key_", "an API key";
    /// The right of one member or team to deploy to one environment.
    GrantId = "grant_", "a grant";
    /// A server that answers for models.
    ModelUpstreamId = "mdlu_", "a model upstream";
    /// A door of an environment to the organization's model upstreams.
    LlmProxyId = "llmp_", "an LLM proxy";
    /// A server of the private registry of MCP servers.
    McpCatalogEntryId = "mcpe_", "an MCP catalog entry";
    /// A door of an environment to what of the catalog is in it.
    McpGatewayId = "mcpg_", "an MCP gateway";
    /// What a person let a program do with one MCP gateway.
    OauthGrantId = "oag_", "an OAuth grant";
    /// The way to the credential of an MCP server, until it is there.
    McpConnectionId = "mcpc_", "a connection to an MCP server";
    /// A source of documents that an environment's agents may search.
    KnowledgeConnectorId = "kncn_", "a knowledge connector";
    /// A document of a knowledge connector.
    KnowledgeDocumentId = "kndc_", "a document";
    /// A limit of what may be spent.
    LimitId = "lim_", "a limit";
    /// A request to a model, as it is accounted for.
    UsageRecordId = "use_", "a usage record";
    /// An environment.
    EnvironmentId = "env_", "an environment";
    /// An agent.
    AgentId = "agent_", "an agent";
    /// A session. Some clients write the other prefix.
    SessionId = "sesn_" or "session_", "a session";
    /// A resource of a session.
    SessionResourceId = "sesrsc_", "a resource of a session";
    /// An event of a session.
    SessionEventId = "sevt_", "an event of a session";
    /// A thread of a session.
    SessionThreadId = "sthr_", "a thread of a session";
    /// A vault.
    VaultId = "vlt_", "a vault";
    /// A credential in a vault.
    CredentialId = "vcrd_", "a credential";
    /// A file.
    FileId = "file_", "a file";
    /// Stored bytes that a file or a version of a skill refers to.
    ContentId = "content_", "stored content";
    /// A skill.
    SkillId = "skill_", "a skill";
    /// A version of a skill.
    SkillVersionId = "skillver_", "a version of a skill";
    /// A flow of a session.
    FlowId = "flow_", "a flow";
    /// An item of an environment's work queue.
    WorkId = "work_", "a work item";
    /// An HTTP request, in answers and logs.
    RequestId = "req_", "a request";
}

impl SessionThreadId {
    /// The thread that a session begins with. It is known from the session, so that nothing has to be read to name it.
    pub fn primary_of(session: &SessionId) -> Self {
        let digits = session.0.strip_prefix(SessionId::PREFIX);
        Self([Self::PREFIX, digits.unwrap_or_default()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_when_they_were_made() {
        let random = [0xff; 10];
        let ids: Vec<_> = [0, 1, 1_795_000_000_000, 1_795_000_000_001, (1 << 48) - 1]
            .map(|at| EnvironmentId::made(at, random))
            .to_vec();
        assert!(ids.is_sorted());
        assert!(EnvironmentId::made(5, [0xff; 10]) < EnvironmentId::made(6, [0; 10]));
    }

    #[test]
    fn the_digits_are_those_of_the_number() {
        for (at, random) in [
            (0, [0; 10]),
            (1_795_000_000_000, *b"0123456789"),
            ((1 << 48) - 1, [0xff; 10]),
        ] {
            let value = digits_of(at, random).iter().fold(0, |value: u128, digit| {
                let digit = DIGITS.iter().position(|one| one == digit).unwrap();
                value * 58 + digit as u128
            });
            assert_eq!(value >> 80, u128::from(at));
            assert_eq!(value.to_be_bytes()[9..], random[3..]);
        }
    }

    #[test]
    fn the_id_of_a_session_has_two_prefixes_and_is_one_id() {
        let id = SessionId::made(1_795_000_000_000, [7; 10]);
        let other = id.as_str().replace("sesn_", "session_");
        assert_eq!(other.parse(), Ok(id));
    }

    #[test]
    fn the_primary_thread_of_a_session_is_a_thread() {
        let session = SessionId::made(1_795_000_000_000, [7; 10]);
        let thread = SessionThreadId::primary_of(&session);
        assert_eq!(thread.as_str().parse(), Ok(thread));
    }

    #[test]
    fn an_id_parses_again_and_as_nothing_else() {
        let id = EnvironmentId::made(1_795_000_000_000, [7; 10]);
        assert_eq!(id.as_str().len(), "env_".len() + LENGTH);
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        assert!(id.as_str().parse::<AgentId>().is_err());
        for bad in [
            "",
            "env_",
            "env_0000000000000000000000",
            "env_/../../../../../../..x",
        ] {
            assert!(bad.parse::<EnvironmentId>().is_err(), "{bad:?} was taken");
        }
    }
}
