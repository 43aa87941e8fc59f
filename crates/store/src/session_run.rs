//! Who runs a session: claiming it, and keeping it. Each is one conditional update, so that of two that race one wins.

use bailiwick_model::{OrganizationId, SandboxId, SessionId};
use jiff::Timestamp;

use crate::change::Change;
use crate::error::StoreError;
use crate::row::Columns;
use crate::store::Store;
use crate::transaction::Transaction;

/// Who runs a session. What it writes is refused once somebody else does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRun {
    /// Whose session it is.
    pub organization: OrganizationId,
    /// Which session.
    pub session: SessionId,
    /// Who runs it.
    pub holder: String,
    /// Grows with each one that does.
    pub number: i64,
    /// Until when.
    pub until: Timestamp,
}

impl Store {
    /// Sessions of all organizations that there is something to do in and that nobody runs, those first that wait for longest.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn sessions_to_run(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(OrganizationId, SessionId)>, StoreError> {
        let rows = sqlx::query(
            "SELECT organization_id, id FROM session WHERE status IN ('running', 'rescheduling') \
             AND (runner_until IS NULL OR runner_until <= $1) ORDER BY updated_at LIMIT $2",
        )
        .bind(now.as_microsecond())
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await?;
        let read = |row: &sqlx::any::AnyRow| Ok((row.id("organization_id")?, row.id("id")?));
        rows.iter().map(read).collect()
    }

    /// Makes somebody the one who runs a session until then, if there is something to do in it and nobody else does.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn claim_session(
        &self,
        organization: &OrganizationId,
        session: &SessionId,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<SessionRun>, StoreError> {
        let mut transaction = self.begin_shared().await?;
        let (of, times) = ((organization, session), (now, until));
        let claimed = claim(&mut transaction, of, holder, times).await?;
        transaction.commit().await?;
        Ok(claimed)
    }

    /// Keeps a session until then; whether it was still theirs.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn keep_session(
        &self,
        run: &SessionRun,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let statement = sqlx::query(
            "UPDATE session SET runner_until = $5 \
             WHERE organization_id = $1 AND id = $2 AND runner_number = $3 AND runner_until > $4 AND runner = $6",
        )
        .bind(run.organization.to_string())
        .bind(run.session.to_string())
        .bind(run.number)
        .bind(now.as_microsecond())
        .bind(until.as_microsecond())
        .bind(run.holder.clone());
        let done = self.execute(statement).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives a session back, if it is still theirs.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn release_session(&self, run: &SessionRun) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "UPDATE session SET runner = NULL, runner_until = NULL WHERE organization_id = $1 AND id = $2 AND runner_number = $3 AND runner = $4",
        )
        .bind(run.organization.to_string())
        .bind(run.session.to_string())
        .bind(run.number)
        .bind(run.holder.clone());
        self.execute(statement).await?;
        Ok(())
    }

    /// Says which sandbox of a session counts from now on; whether there is such a session still. Nobody waits for who runs it, or changes it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn note_sandbox(
        &self,
        organization: &OrganizationId,
        session: &SessionId,
        sandbox: &SandboxId,
    ) -> Result<bool, StoreError> {
        let statement = sqlx::query(
            "UPDATE session SET sandbox = $3 WHERE organization_id = $1 AND id = $2 AND archived_at IS NULL",
        )
        .bind(organization.to_string())
        .bind(session.to_string())
        .bind(sandbox.to_string());
        let done = self.execute(statement).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives all sessions back.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn end_session_runs(&self) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "UPDATE session SET runner = NULL, runner_until = NULL WHERE runner IS NOT NULL",
        );
        self.execute(statement).await?;
        Ok(())
    }
}

impl Change {
    /// [`Store::claim_session`] as a part of this change, from its time on.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn claim_session(
        &mut self,
        session: &SessionId,
        holder: &str,
        until: Timestamp,
    ) -> Result<Option<SessionRun>, StoreError> {
        let (transaction, organization, at) = self.parts();
        claim(transaction, (&organization, session), holder, (at, until)).await
    }
}

async fn claim(
    transaction: &mut Transaction,
    (organization, session): (&OrganizationId, &SessionId),
    holder: &str,
    (now, until): (Timestamp, Timestamp),
) -> Result<Option<SessionRun>, StoreError> {
    let row = sqlx::query(
        "UPDATE session SET runner = $3, runner_number = runner_number + 1, runner_until = $5 \
         WHERE organization_id = $1 AND id = $2 AND status IN ('running', 'rescheduling') AND archived_at IS NULL \
         AND (runner_until IS NULL OR runner_until <= $4) RETURNING runner_number",
    )
    .bind(organization.to_string())
    .bind(session.to_string())
    .bind(holder.to_owned())
    .bind(now.as_microsecond())
    .bind(until.as_microsecond())
    .fetch_optional(transaction.connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(SessionRun {
        organization: organization.clone(),
        session: session.clone(),
        holder: holder.to_owned(),
        number: row.value("runner_number")?,
        until,
    }))
}
