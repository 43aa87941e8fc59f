//! Whether the MCP server of an OAuth credential takes its token, tried for real.

use std::sync::Arc;

use bailiwick_mcp::{FailedStep, Probe, RefreshError, ShownAnswer, StepFailure};
use bailiwick_model::{CredentialId, Permission, VaultId};
use bailiwick_outbound::{Outbound, OutboundError};
use bailiwick_policy::Policy;
use bailiwick_wire::{FieldProblem, SecretText};
use jiff::Timestamp;
use url::Url;

use crate::caller::Caller;
use crate::clock;
use crate::control::Control;
use crate::credentials::corrupt;
use crate::error::ControlError;
use crate::oauth::{NoToken, OauthCredential};

/// What a validation found.
#[derive(Debug)]
pub struct Validation {
    /// When it was asked for.
    pub at: Timestamp,
    /// Whether the credential has a refresh token.
    pub has_refresh_token: bool,
    /// The verdict.
    pub status: ValidationStatus,
    /// Where the MCP server did not do what it should, if it did not.
    pub mcp_probe: Option<ProbeFailure>,
    /// What became of the refresh token, if it was needed.
    pub refresh: Option<RefreshOutcome>,
}

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValidationStatus {
    /// The MCP server takes the access token, which may be another one now.
    Valid,
    /// It does not, and there is no other one to be had.
    Invalid,
    /// It could not be found out.
    Unknown,
}

/// A step of a probe that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFailure {
    /// The method of MCP.
    pub method: &'static str,
    /// What the server answered, if it answered.
    pub answer: Option<ShownAnswer>,
    /// Why there is no answer.
    pub detail: Option<String>,
}

/// What became of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// There is another access token.
    Succeeded,
    /// The token endpoint answered, and gave none.
    Failed(ShownAnswer),
    /// The token endpoint did not answer, for this reason.
    ConnectError(String),
    /// There is none.
    NoRefreshToken,
}

/// Where a probe leads.
enum Found {
    Verdict(ValidationStatus, Option<ProbeFailure>),
    /// The access token is not taken: another one may be.
    Unauthorized(ProbeFailure),
}

impl Control {
    /// Tries whether the MCP server of an OAuth credential takes its access token. If it does not, another one is asked for with the refresh
    /// token, stored, and tried.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Invalid`] if it is no OAuth credential, and what every use
    /// case may answer. That servers do not answer, or may not be asked, is what it finds, and no error.
    pub async fn validate_credential(
        self: &Arc<Self>,
        caller: &Caller,
        vault: &VaultId,
        id: &CredentialId,
    ) -> Result<Validation, ControlError> {
        caller.require(Permission::VaultWrite)?;
        let found = self.oauth_credential(caller, vault, id).await?;
        let credential = found.ok_or_else(not_oauth)?;
        let unknown = Validation {
            at: clock::now(),
            has_refresh_token: credential.refresh_token.is_some(),
            status: ValidationStatus::Unknown,
            mcp_probe: None,
            refresh: None,
        };
        let Some((outbound, policy)) = self.way_out(caller).await? else {
            return Ok(unknown);
        };
        // So many at once: whoever comes later waits.
        let _turn = self.validations.wait(&caller.organization).await;
        let way = (&outbound, &policy);
        let found = credential.probe(&credential.access_token, way).await?;
        let failure = match found {
            Found::Verdict(status, mcp_probe) => {
                return Ok(Validation {
                    status,
                    mcp_probe,
                    ..unknown
                });
            }
            Found::Unauthorized(failure) => failure,
        };
        let stale = &credential.access_token;
        let (status, mcp_probe, refresh) = match self
            .fresh_access_token(caller, (vault, id), stale, way)
            .await
        {
            Ok(token) => {
                let (status, failure) = credential.probe(&token, way).await?.verdict();
                (status, failure, RefreshOutcome::Succeeded)
            }
            Err(failed) => {
                let (status, outcome) = failed.outcome()?;
                (status, Some(failure), outcome)
            }
        };
        Ok(Validation {
            status,
            mcp_probe,
            refresh: Some(refresh),
            ..unknown
        })
    }
}

impl OauthCredential {
    async fn probe(
        &self,
        token: &SecretText,
        (outbound, policy): (&Outbound, &Arc<Policy>),
    ) -> Result<Found, ControlError> {
        let server = Url::parse(&self.auth.mcp_server_url).map_err(|_| corrupt("auth"))?;
        let probe = bailiwick_mcp::probe(outbound, policy, &server, token.reveal()).await;
        Ok(match probe {
            Probe::Accepted => Found::Verdict(ValidationStatus::Valid, None),
            Probe::Unauthorized(step) => Found::Unauthorized(step.into()),
            Probe::Forbidden(step) => Found::Verdict(ValidationStatus::Invalid, Some(step.into())),
            Probe::Unknown(step) => Found::Verdict(ValidationStatus::Unknown, Some(step.into())),
        })
    }
}

impl Found {
    /// The verdict, if there is no other token any more.
    fn verdict(self) -> (ValidationStatus, Option<ProbeFailure>) {
        match self {
            Self::Verdict(status, failure) => (status, failure),
            Self::Unauthorized(failure) => (ValidationStatus::Invalid, Some(failure)),
        }
    }
}

impl NoToken {
    /// What it means for a credential whose access token is not taken.
    fn outcome(self) -> Result<(ValidationStatus, RefreshOutcome), ControlError> {
        Ok(match self {
            Self::NoRefreshToken => (ValidationStatus::Invalid, RefreshOutcome::NoRefreshToken),
            Self::Refused(RefreshError::Refused { answer, is_final }) => {
                let status = if is_final {
                    ValidationStatus::Invalid
                } else {
                    ValidationStatus::Unknown
                };
                (status, RefreshOutcome::Failed(answer))
            }
            Self::Refused(RefreshError::NoAnswer(error)) => {
                let outcome = RefreshOutcome::ConnectError(detail(&error));
                (ValidationStatus::Unknown, outcome)
            }
            Self::Control(error) => return Err(error),
        })
    }
}

impl From<FailedStep> for ProbeFailure {
    fn from(step: FailedStep) -> Self {
        let (answer, detail) = match step.failure {
            StepFailure::Answer(answer) => (Some(answer), None),
            StepFailure::NoAnswer(error) => (None, Some(detail(&error))),
        };
        Self {
            method: step.method,
            answer,
            detail,
        }
    }
}

/// Why there was no answer, and what to do where a policy is the reason.
pub(crate) fn detail(error: &OutboundError) -> String {
    match error.denial() {
        Some(decision) => match &decision.hint {
            Some(hint) => format!("denied: {}; {hint}", decision.reason),
            None => format!("denied: {}", decision.reason),
        },
        None => error.to_string(),
    }
}

fn not_oauth() -> ControlError {
    ControlError::Invalid(vec![FieldProblem {
        field: "auth.type".to_owned(),
        code: "not_an_oauth_credential",
        message: "only credentials of the type `mcp_oauth` can be validated".to_owned(),
        help: "validate a credential that has an MCP server and an access token of OAuth"
            .to_owned(),
    }])
}
