//! Why somebody whom an identity provider sent was not let in.

use bailiwick_oidc::NotRedeemed;

/// Why somebody whom an identity provider sent was not let in.
#[derive(Debug, thiserror::Error)]
pub enum SignInRefusal {
    /// It was begun in another browser, at another provider, too long ago or never.
    #[error("this sign-in was not begun in this browser, or too long ago: begin again")]
    NotBegunHere,
    /// Somebody signed in with it.
    #[error("this sign-in was used already: begin again")]
    Spent,
    /// The provider's answer does not prove who they are.
    #[error("the identity provider's answer does not say who you are: {0}")]
    NotProven(#[source] NotRedeemed),
    /// The provider does not know an address, or does not know whether it is theirs.
    #[error(
        "the identity provider gives no address of mail that it has verified: verify yours there"
    )]
    NoVerifiedEmail,
    /// Another domain.
    #[error("addresses of this domain are not let in here: sign in with another account")]
    Domain,
    /// A claim is missing, or says something else.
    #[error(
        "the identity provider does not say of you what is needed here: ask whoever runs this server which group or role that is"
    )]
    Claim,
    /// They are not a member, and do not become one by signing in.
    #[error("you are not a member of the organization: ask an administrator to add you")]
    NotAMember,
    /// They were removed.
    #[error(
        "you were removed from the organization: an administrator can add you again by your address of mail"
    )]
    Removed,
    /// The member with this address is somebody else there.
    #[error(
        "the member with your address of mail signs in as somebody else at this identity provider: ask an administrator to remove and add them"
    )]
    SomebodyElse,
    /// They are disabled.
    #[error("your account is disabled: ask an administrator")]
    Disabled,
    /// The role of new members is gone.
    #[error("new members would get a role that does not exist: tell whoever runs this server")]
    NoRole,
}

impl SignInRefusal {
    /// Whether it is known who they are, so that it is a matter of what they may do.
    pub fn is_known(&self) -> bool {
        match self {
            Self::NotBegunHere | Self::Spent | Self::NotProven(_) => false,
            Self::NoVerifiedEmail
            | Self::Domain
            | Self::Claim
            | Self::NotAMember
            | Self::Removed
            | Self::SomebodyElse
            | Self::Disabled
            | Self::NoRole => true,
        }
    }
}
