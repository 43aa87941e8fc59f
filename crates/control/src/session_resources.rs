//! What sessions have: copies of files, and repositories with the tokens that clone them.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_model::limits::SESSION_FILES;
use bailiwick_model::{
    ContentId, FileId, OrganizationId, Permission, ResourceId as _, SessionId, SessionResourceId,
};
use bailiwick_store::{
    Change, File, NewFile, NewSessionResource, Session, SessionResource, SessionResourceKind,
    StoreError,
};
use bailiwick_wire::{
    Checkout, FileMount, ResourceMount, SecretText, added_resource, overlapping, rotated_token,
};
use serde_json::{Map, Value, json};

use crate::caller::Caller;
use crate::control::Control;
use crate::credentials::sealed;
use crate::error::ControlError;
use crate::fresh;
use crate::names::problem;
use crate::sessions;

const KIND: &str = "session resource";
/// What the one secret of a repository is called.
const TOKEN: &str = "authorization_token";

/// Something that a session is to have, with what of it is there already.
pub(crate) enum Mounted {
    /// A file is copied.
    File { file: File, mount_path: String },
    /// A repository is cloned when the session needs it.
    Repository {
        url: String,
        checkout: Option<Checkout>,
        mount_path: String,
        token: Option<SecretText>,
    },
}

impl Control {
    /// What a session has, in the order in which it got it.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`] for the session, and what every use case may answer.
    pub async fn session_resources(
        &self,
        caller: &Caller,
        session: &SessionId,
    ) -> Result<Vec<SessionResource>, ControlError> {
        caller.require(Permission::SessionRead)?;
        let scope = self.store.scope(&caller.organization);
        let found = scope.session(session).await?;
        found.ok_or(ControlError::NotFound(sessions::KIND))?;
        Ok(scope.session_resources(session).await?)
    }

    /// One thing that a session has.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn session_resource(
        &self,
        caller: &Caller,
        session: &SessionId,
        id: &SessionResourceId,
    ) -> Result<SessionResource, ControlError> {
        one_of(self.session_resources(caller, session).await?, id)
    }

    /// Gives a session a copy of a file; repositories are there from its beginning.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`] for the session or the file, [`ControlError::Archived`], [`ControlError::Invalid`],
    /// [`ControlError::Full`], and what every use case may answer.
    pub async fn add_session_resource(
        &self,
        caller: &Caller,
        session: &SessionId,
        body: &Map<String, Value>,
    ) -> Result<SessionResource, ControlError> {
        caller.require(Permission::SessionWrite)?;
        let FileMount { file, mount_path } = added_resource(body)?;
        let file = self.file_to_mount(caller, &file).await?;
        self.takes_resources(caller, session).await?;
        let (mut change, _) = self.open_session(caller, session).await?;
        let resources = change.session_resources(session).await?;
        if files(&resources) >= SESSION_FILES {
            return Err(ControlError::Full {
                kind: sessions::KIND,
                what: "files",
                limit: SESSION_FILES,
            });
        }
        let contents = change.session_contents(session).await?;
        self.fits(contents, [&file], "file_id")?;
        let taken: BTreeSet<_> = resources.iter().map(|one| one.mount_path.clone()).collect();
        if overlapping(&taken, &mount_path) {
            let message = format!("{mount_path} is in the place of another resource");
            let help = "choose another path";
            return Err(problem("mount_path", "mount_path_taken", &message, help));
        }
        let position = resources.last().map_or(0, |last| last.position + 1);
        let mounted = Mounted::File { file, mount_path };
        let made = self.mount(&mut change, session, position, &mounted).await?;
        commit(
            change,
            caller,
            "session_resource.create",
            &made,
            Some(&evidence(&made)),
        )
        .await?;
        Ok(made)
    }

    /// Gives a repository of a session another token.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Invalid`], and what every use case may answer.
    pub async fn rotate_session_resource(
        &self,
        caller: &Caller,
        session: &SessionId,
        id: &SessionResourceId,
        body: &Map<String, Value>,
    ) -> Result<SessionResource, ControlError> {
        caller.require(Permission::SessionWrite)?;
        let token = rotated_token(body)?;
        let (mut change, _) = self.open_session(caller, session).await?;
        let before = one_of(change.session_resources(session).await?, id)?;
        if !matches!(before.kind, SessionResourceKind::Repository { .. }) {
            let message = "only a repository has a token";
            let help = "delete the resource, and add another one";
            return Err(problem(TOKEN, "no_token", message, help));
        }
        let after = self.put_token(&mut change, &before, &token).await?;
        let mut becomes = evidence(&after);
        becomes["replaced_secrets"] = json!([TOKEN]);
        commit(
            change,
            caller,
            "session_resource.update",
            &after,
            Some(&becomes),
        )
        .await?;
        Ok(after)
    }

    /// Takes something from a session, with its copy of the file or with its token.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], and what every use case may answer.
    pub async fn delete_session_resource(
        &self,
        caller: &Caller,
        session: &SessionId,
        id: &SessionResourceId,
    ) -> Result<(), ControlError> {
        caller.require(Permission::SessionWrite)?;
        let (mut change, _) = self.open_session(caller, session).await?;
        let resource = one_of(change.session_resources(session).await?, id)?;
        change
            .delete_session_resource(&resource)
            .await
            .map_err(ControlError::of(KIND))?;
        commit(change, caller, "session_resource.delete", &resource, None).await
    }

    /// What a body means, found before anything is written.
    pub(crate) async fn mounted(
        &self,
        caller: &Caller,
        mount: &ResourceMount,
    ) -> Result<Mounted, ControlError> {
        Ok(match mount {
            ResourceMount::File(mount) => Mounted::File {
                file: self.file_to_mount(caller, &mount.file).await?,
                mount_path: mount.mount_path.clone(),
            },
            ResourceMount::Repository(mount) => Mounted::Repository {
                url: mount.url.clone(),
                checkout: mount.checkout.clone(),
                mount_path: mount.mount_path.clone(),
                token: mount.token.clone(),
            },
            ResourceMount::MemoryStore(_) => return Err(ControlError::NotFound("memory store")),
        })
    }

    async fn file_to_mount(&self, caller: &Caller, id: &str) -> Result<File, ControlError> {
        let id: FileId = id.parse().map_err(|_| ControlError::NotFound("file"))?;
        self.file(caller, &id).await
    }

    /// Whether the files of a session that is made stay within what one may have.
    pub(crate) fn mounts_fit(&self, mounts: &[Mounted]) -> Result<(), ControlError> {
        let files = mounts.iter().filter_map(|mounted| match mounted {
            Mounted::File { file, .. } => Some(file),
            Mounted::Repository { .. } => None,
        });
        self.fits(BTreeMap::new(), files, "resources")
    }

    /// Files of one content are one: they are placed as one.
    fn fits<'a>(
        &self,
        mut contents: BTreeMap<ContentId, i64>,
        files: impl IntoIterator<Item = &'a File>,
        field: &str,
    ) -> Result<(), ControlError> {
        for file in files {
            contents.extend(
                file.content
                    .clone()
                    .map(|content| (content, file.size_bytes)),
            );
        }
        let most = self.content_limits.session_bytes;
        let bytes: i64 = contents.values().sum();
        if u64::try_from(bytes).is_ok_and(|bytes| bytes <= most) {
            return Ok(());
        }
        let message = format!(
            "the files of a session have at most {most} bytes together, and these {bytes}; one in several places counts once"
        );
        Err(problem(field, "too_much", &message, "leave some out"))
    }

    /// Sessions of self-hosted environments have no resources.
    async fn takes_resources(
        &self,
        caller: &Caller,
        session: &SessionId,
    ) -> Result<(), ControlError> {
        let scope = self.store.scope(&caller.organization);
        let found = scope.session(session).await?;
        let pins = found.ok_or(ControlError::NotFound(sessions::KIND))?.pins;
        // A self-hosted environment is one for ever.
        match pins.policy {
            Some(_) => Ok(()),
            None => Err(sessions::no_resources(&pins.environment)),
        }
    }

    /// A change that holds the lock of a session that is not archived.
    async fn open_session(
        &self,
        caller: &Caller,
        id: &SessionId,
    ) -> Result<(Change, Session), ControlError> {
        let (change, session) = self.locked_session(caller, id).await?;
        if session.archived_at.is_some() {
            return Err(ControlError::Archived(sessions::KIND));
        }
        Ok((change, session))
    }

    /// Gives something to a session that a change has locked or made.
    pub(crate) async fn mount(
        &self,
        change: &mut Change,
        session: &SessionId,
        position: i64,
        mounted: &Mounted,
    ) -> Result<SessionResource, ControlError> {
        let at = change.at();
        let (mount_path, kind, token) = match mounted {
            Mounted::File { file, mount_path } => {
                let kind = SessionResourceKind::File(copy(change, session, file).await?);
                (mount_path, kind, None)
            }
            Mounted::Repository {
                url,
                checkout,
                mount_path,
                token,
            } => {
                let kind = SessionResourceKind::Repository {
                    url: url.clone(),
                    checkout: checkout.as_ref().map(|one| json!(one).to_string()),
                };
                (mount_path, kind, token.as_ref())
            }
        };
        let new = NewSessionResource {
            id: fresh::id(at),
            session: session.clone(),
            position,
            mount_path: mount_path.clone(),
            kind,
        };
        let made = change
            .insert_session_resource(new)
            .await
            .map_err(ControlError::of(KIND))?;
        match token {
            Some(token) => self.put_token(change, &made, token).await,
            None => Ok(made),
        }
    }

    async fn put_token(
        &self,
        change: &mut Change,
        resource: &SessionResource,
        token: &SecretText,
    ) -> Result<SessionResource, ControlError> {
        let organization = change.organization().clone();
        let place = place(&organization, &resource.session, &resource.id);
        let sealed = sealed(&self.sealing, &place, TOKEN, token.reveal().as_bytes());
        change
            .put_session_resource_secret(resource, sealed)
            .await
            .map_err(ControlError::of(KIND))
    }
}

/// Where the token of a repository belongs: it opens nowhere else.
pub(crate) fn place<'a>(
    organization: &'a OrganizationId,
    session: &'a SessionId,
    resource: &'a SessionResourceId,
) -> [&'a str; 5] {
    let (organization, session) = (organization.as_str(), session.as_str());
    [
        "session_resource",
        organization,
        session,
        resource.as_str(),
        TOKEN,
    ]
}

/// A session's own copy of a file: it has the same bytes, and goes with the session.
async fn copy(
    change: &mut Change,
    session: &SessionId,
    file: &File,
) -> Result<FileId, ControlError> {
    let content = file.content.clone();
    let new = NewFile {
        id: fresh::id(change.at()),
        filename: file.filename.clone(),
        mime_type: file.mime_type.clone(),
        size_bytes: file.size_bytes,
        sha256: file.sha256,
        downloadable: file.downloadable,
        session: Some(session.clone()),
        content: content.ok_or(ControlError::Expired("file"))?,
        expires_at: None,
    };
    let made = change.insert_file(new).await.map_err(|error| {
        // Its bytes went away since it was found.
        if matches!(error, StoreError::Stale) {
            ControlError::NotFound("file")
        } else {
            ControlError::of("file")(error)
        }
    })?;
    Ok(made.id)
}

fn files(resources: &[SessionResource]) -> usize {
    let is_file = |one: &&SessionResource| matches!(one.kind, SessionResourceKind::File(_));
    resources.iter().filter(is_file).count()
}

fn one_of(
    resources: Vec<SessionResource>,
    id: &SessionResourceId,
) -> Result<SessionResource, ControlError> {
    let found = resources.into_iter().find(|one| one.id == *id);
    found.ok_or(ControlError::NotFound(KIND))
}

async fn commit(
    change: Change,
    caller: &Caller,
    action: &str,
    resource: &SessionResource,
    after: Option<&Value>,
) -> Result<(), ControlError> {
    let before = evidence(resource);
    let before = after.is_none().then_some(&before);
    let event = caller.event(
        action,
        ("session_resource", resource.id.as_str()),
        before,
        after,
    );
    change.commit(&event).await.map_err(ControlError::of(KIND))
}

/// What the audit log keeps of something that a session has.
pub(crate) fn evidence(resource: &SessionResource) -> Value {
    let (file, url, checkout) = match &resource.kind {
        SessionResourceKind::File(file) => (Some(file), None, None),
        SessionResourceKind::Repository { url, checkout } => (None, Some(url), checkout.as_deref()),
    };
    let checkout = checkout.map(|text| serde_json::from_str::<Value>(text).unwrap_or_default());
    json!({
        "id": resource.id,
        "session_id": resource.session,
        "mount_path": resource.mount_path,
        "file_id": file,
        "url": url,
        "checkout": checkout,
    })
}
