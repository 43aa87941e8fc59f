//! What refers to an environment.

use bailiwick_model::limits::REFERENCES_TOLD;
use bailiwick_model::{EnvironmentId, Permission};
use bailiwick_store::{
    Change, Page, PageRequest, Reference, ReferenceCounts, ReferenceFilter, Scope,
};
use jiff::Timestamp;

use crate::caller::Caller;
use crate::clock;
use crate::control::Control;
use crate::error::ControlError;

const KIND: &str = "environment";

/// What refers to an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct References {
    /// How many there are of each kind.
    pub counts: ReferenceCounts,
    /// Some of them, by kind and id.
    pub page: Page<Reference, Reference>,
}

impl Control {
    /// What refers to an environment, by kind and id. `before` of the page is the last one of the page before it.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn references(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        page: &PageRequest<Reference>,
    ) -> Result<References, ControlError> {
        caller.require(Permission::EnvironmentRead)?;
        let (scope, at) = (self.store.scope(&caller.organization), clock::now());
        if scope.environment(id).await?.is_none() {
            return Err(ControlError::NotFound(KIND));
        }
        let all = ReferenceFilter::All;
        Ok(References {
            counts: scope.reference_counts(id, at, all).await?,
            page: scope.references(id, at, all, page).await?,
        })
    }
}

/// The first of what refers to something.
fn first() -> PageRequest<Reference> {
    PageRequest {
        before: None,
        limit: REFERENCES_TOLD,
    }
}

/// What an environment's policy holds for: all counted, the first of them named.
pub(crate) async fn governed(
    scope: Scope<'_>,
    id: &EnvironmentId,
    at: Timestamp,
) -> Result<References, ControlError> {
    let filter = ReferenceFilter::Governed;
    Ok(References {
        counts: scope.reference_counts(id, at, filter).await?,
        page: scope.references(id, at, filter, &first()).await?,
    })
}

/// Goes on only if nothing refers to the environment. Whatever refers to it from now on waits, if the change is alone.
pub(crate) async fn refuse_if_referred(
    change: &mut Change,
    id: &EnvironmentId,
) -> Result<(), ControlError> {
    let counts = change.reference_counts(id).await?;
    if counts.is_empty() {
        return Ok(());
    }
    let page = change.references(id, &first()).await?;
    Err(ControlError::InUse {
        kind: KIND,
        references: Box::new(References { counts, page }),
    })
}
