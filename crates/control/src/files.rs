//! Files.

use bailiwick_model::limits::{
    EXPIRED_FILE_REMEMBERED, FILE_LIFE_LEAST_SECONDS, FILE_LIFE_MOST_SECONDS, FILE_NAME_CHARS,
    MEDIA_TYPE_BYTES, UPLOAD_ABANDONED,
};
use bailiwick_model::{FileId, OrganizationId, Permission, ResourceId as _, SessionId};
use bailiwick_store::{ExpiredFile, File, NewFile, Page, PageRequest, StoreError};
use bailiwick_wire::FieldProblem;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::content::{Download, Intake};
use crate::control::Control;
use crate::error::ControlError;
use crate::{clock, fresh};

const KIND: &str = "file";
/// What one step of a sweep looks at.
const SWEPT_AT_ONCE: u32 = 100;
/// The media type of bytes of which nothing is known (RFC 9110, section 8.3).
const UNKNOWN_MEDIA_TYPE: &str = "application/octet-stream";
/// How files end that were uploaded without a name.
const ENDINGS: &[(&str, &str)] = &[
    ("application/json", "json"),
    ("application/pdf", "pdf"),
    ("application/zip", "zip"),
    ("image/gif", "gif"),
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("image/webp", "webp"),
    ("text/csv", "csv"),
    ("text/html", "html"),
    ("text/markdown", "md"),
    ("text/plain", "txt"),
];

/// What an upload says about its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileFacts {
    /// Its name; only what follows the last slash is kept.
    pub filename: Option<String>,
    /// Its media type.
    pub mime_type: Option<String>,
    /// How long it is to be there; for ever if this is none.
    pub expires_in_seconds: Option<i64>,
}

/// Which files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileList {
    /// Those of these that there are.
    Ids(Vec<FileId>),
    /// The newest first, from where a page begins.
    Older(PageRequest<FileId>),
    /// Those next to one and newer than it.
    Newer {
        /// The one.
        than: FileId,
        /// At most so many.
        limit: u32,
    },
}

/// What a sweep took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files whose time was over.
    pub files: u64,
    /// Bytes that nothing referred to: of deleted files and skills, and of uploads that were cut off.
    pub contents: u64,
}

/// A file that is being uploaded. What was uploaded is kept only by [`Self::finish`].
pub struct FileUpload<'a> {
    control: &'a Control,
    caller: &'a Caller,
    intake: Intake<'a>,
}

impl Control {
    /// Begins to take a file.
    ///
    /// # Errors
    ///
    /// [`ControlError::QuotaExceeded`], and what every use case may answer.
    pub async fn begin_file<'a>(
        &'a self,
        caller: &'a Caller,
    ) -> Result<FileUpload<'a>, ControlError> {
        caller.require(Permission::FileWrite)?;
        let most = self.content_limits.file_bytes;
        Ok(FileUpload {
            control: self,
            caller,
            intake: Intake::begin(self, &caller.organization, KIND, most).await?,
        })
    }

    /// Keeps something that a session's agent hands over; its media type is what its name says.
    pub(crate) async fn keep_output(
        &self,
        organization: &OrganizationId,
        session: &SessionId,
        filename: &str,
        contents: &[u8],
    ) -> Result<(), ControlError> {
        let caller = Caller::system(organization.clone());
        let most = self.content_limits.file_bytes;
        let mut upload = FileUpload {
            control: self,
            caller: &caller,
            intake: Intake::begin(self, organization, KIND, most).await?,
        };
        let ending = filename.rsplit_once('.').map(|(_, ending)| ending);
        let known = ENDINGS.iter().find(|(_, known)| Some(*known) == ending);
        // Whoever works inside chose the name.
        let shown: String = filename
            .chars()
            .filter(|c| !c.is_control())
            .take(FILE_NAME_CHARS)
            .collect();
        let facts = FileFacts {
            filename: Some(shown),
            mime_type: known.map(|(media_type, _)| (*media_type).to_owned()),
            expires_in_seconds: None,
        };
        let kept = match upload.write(contents).await {
            Ok(()) => upload
                .finish_for(facts, Some(session.clone()))
                .await
                .map(drop),
            Err(error) => Err(error),
        };
        if kept.is_err() {
            upload.abandon().await;
        }
        kept
    }

    /// One file.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Expired`], and what every use case may answer.
    pub async fn file(&self, caller: &Caller, id: &FileId) -> Result<File, ControlError> {
        caller.require(Permission::FileRead)?;
        present(self.store.scope(&caller.organization).file(id).await?)
    }

    /// Files that are there, the newest first; of one session, if one is named.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn files(
        &self,
        caller: &Caller,
        list: FileList,
        session: Option<&SessionId>,
    ) -> Result<Page<File, FileId>, ControlError> {
        caller.require(Permission::FileRead)?;
        let (scope, now) = (self.store.scope(&caller.organization), clock::now());
        match list {
            FileList::Older(page) => Ok(scope.files(&page, session, now).await?),
            FileList::Newer { than, limit } => {
                Ok(scope.newer_files(&than, limit, session, now).await?)
            }
            FileList::Ids(mut ids) => {
                ids.sort_unstable_by(|one, other| other.cmp(one));
                ids.dedup();
                let mut items = Vec::new();
                for id in &ids {
                    let file = scope.file(id).await?;
                    let of_session =
                        |file: &File| session.is_none() || file.session.as_ref() == session;
                    items.extend(file.filter(|file| !file.has_expired(now) && of_session(file)));
                }
                Ok(Page { items, next: None })
            }
        }
    }

    /// The bytes of a file.
    ///
    /// # Errors
    ///
    /// As [`Self::file`], and [`ControlError::NotDownloadable`].
    pub async fn download_file(
        &self,
        caller: &Caller,
        id: &FileId,
    ) -> Result<(File, Download), ControlError> {
        let file = self.file(caller, id).await?;
        if !file.downloadable {
            return Err(ControlError::NotDownloadable);
        }
        let content = file.content.clone().ok_or(ControlError::Expired(KIND))?;
        let download = Download::of(self, &caller.organization, content, file.size_bytes);
        Ok((file, download))
    }

    /// Deletes a file.
    ///
    /// # Errors
    ///
    /// As [`Self::file`].
    pub async fn delete_file(&self, caller: &Caller, id: &FileId) -> Result<(), ControlError> {
        caller.require(Permission::FileWrite)?;
        let mut change = self.change(caller, clock::now()).await?;
        let file = present(change.file(id).await?)?;
        change
            .delete_file(&file)
            .await
            .map_err(|error| if_stale(error, ControlError::NotFound(KIND)))?;
        let before = evidence(&file);
        let event = caller.event("file.delete", (KIND, id.as_str()), Some(&before), None);
        change.commit(&event).await.map_err(ControlError::of(KIND))
    }

    /// Takes the bytes of files whose time is over, and all bytes that nothing refers to, of all organizations. It is for whoever runs the
    /// server, now and then; several replicas may do so at once.
    ///
    /// # Errors
    ///
    /// [`ControlError::Store`]; the next sweep goes on where this one ended.
    pub async fn sweep_files(&self) -> Result<Swept, ControlError> {
        let (mut swept, now) = (Swept::default(), clock::now());
        loop {
            let expired = self.store.expired_files(now, SWEPT_AT_ONCE).await?;
            for file in &expired {
                swept.files += u64::from(self.expire(file, now).await?);
            }
            if expired.len() < SWEPT_AT_ONCE as usize {
                break;
            }
        }
        let silent_since = before(now, UPLOAD_ABANDONED);
        loop {
            let loose = self
                .store
                .loose_content(silent_since, SWEPT_AT_ONCE)
                .await?;
            for content in &loose {
                self.store.sweep_content(content, silent_since).await?;
                swept.contents += 1;
            }
            if loose.len() < SWEPT_AT_ONCE as usize {
                break;
            }
        }
        let forgotten = before(now, EXPIRED_FILE_REMEMBERED);
        self.store.forget_expired_files(forgotten).await?;
        Ok(swept)
    }

    /// Whether it was this process that did.
    async fn expire(&self, expired: &ExpiredFile, now: Timestamp) -> Result<bool, ControlError> {
        let system = Caller::system(expired.organization.clone());
        let mut change = self.store.change(&system.organization, now).await?;
        let Some(file) = change.file(&expired.id).await? else {
            return Ok(false);
        };
        match change.expire_file(&file).await {
            Ok(()) => {}
            Err(StoreError::Stale) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let before = evidence(&file);
        let event = system.event("file.expire", (KIND, file.id.as_str()), Some(&before), None);
        change.commit(&event).await?;
        Ok(true)
    }
}

impl FileUpload<'_> {
    /// Takes some more bytes.
    ///
    /// # Errors
    ///
    /// [`ControlError::TooLarge`], [`ControlError::GivenUp`] and [`ControlError::Store`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ControlError> {
        self.intake.write(bytes).await
    }

    /// Makes the file of what was taken. It can be downloaded: whoever may upload may see everything else here too, and what an organization
    /// keeps on its own machine is its own.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`], [`ControlError::QuotaExceeded`], and those of [`Self::write`].
    pub async fn finish(&mut self, facts: FileFacts) -> Result<File, ControlError> {
        self.finish_for(facts, None).await
    }

    async fn finish_for(
        &mut self,
        facts: FileFacts,
        session: Option<SessionId>,
    ) -> Result<File, ControlError> {
        let at = clock::now();
        let expires_at = expiry(facts.expires_in_seconds, at)?;
        let mime_type = media_type(facts.mime_type);
        let filename = filename(facts.filename.as_deref(), &mime_type)?;
        let arrived = self.intake.finish().await?;
        let mut change = self.control.change(self.caller, at).await?;
        let new = NewFile {
            id: fresh::id(at),
            filename,
            mime_type,
            size_bytes: arrived.bytes,
            sha256: arrived.sha256,
            downloadable: true,
            session,
            content: arrived.id,
            expires_at,
        };
        let made = change
            .insert_file(new)
            .await
            .map_err(|error| if_stale(error, ControlError::GivenUp(KIND)))?;
        let after = evidence(&made);
        let resource = (KIND, made.id.as_str());
        let event = self
            .caller
            .event("file.create", resource, None, Some(&after));
        change.commit(&event).await?;
        Ok(made)
    }

    /// Gives up: nothing of it stays.
    pub async fn abandon(self) {
        self.intake.abandon().await;
    }
}

fn present(file: Option<File>) -> Result<File, ControlError> {
    let file = file.ok_or(ControlError::NotFound(KIND))?;
    if file.has_expired(clock::now()) {
        return Err(ControlError::Expired(KIND));
    }
    Ok(file)
}

/// What it means that somebody else was faster.
fn if_stale(error: StoreError, meaning: ControlError) -> ControlError {
    if matches!(error, StoreError::Stale) {
        meaning
    } else {
        ControlError::of(KIND)(error)
    }
}

fn before(now: Timestamp, time: std::time::Duration) -> Timestamp {
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::ZERO);
    now.checked_sub(time).unwrap_or(Timestamp::MIN)
}

fn expiry(seconds: Option<i64>, at: Timestamp) -> Result<Option<Timestamp>, ControlError> {
    let Some(seconds) = seconds else {
        return Ok(None);
    };
    let range = FILE_LIFE_LEAST_SECONDS..=FILE_LIFE_MOST_SECONDS;
    let expires = at.checked_add(SignedDuration::from_secs(seconds)).ok();
    match expires.filter(|_| range.contains(&seconds)) {
        Some(expires) => Ok(Some(expires)),
        None => Err(ControlError::Invalid(vec![FieldProblem {
            field: "expires_in_seconds".to_owned(),
            code: "out_of_range",
            message: format!(
                "is a number from {FILE_LIFE_LEAST_SECONDS} to {FILE_LIFE_MOST_SECONDS}"
            ),
            help: "leave it out for a file that stays".to_owned(),
        }])),
    }
}

/// What cannot be a media type says nothing.
fn media_type(said: Option<String>) -> String {
    let is_one = |text: &String| {
        text.len() <= MEDIA_TYPE_BYTES
            && text.contains('/')
            && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    };
    said.filter(is_one)
        .unwrap_or_else(|| UNKNOWN_MEDIA_TYPE.to_owned())
}

/// Only what follows the last slash is kept; without a name it is `unnamed` (the wire's rule).
fn filename(said: Option<&str>, media_type: &str) -> Result<String, ControlError> {
    let last = said.and_then(|name| name.rsplit(['/', '\\']).next());
    let last = last.unwrap_or_default().trim();
    if last.is_empty() || last == "." || last == ".." {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        let ending = ENDINGS.iter().find(|(known, _)| *known == essence);
        return Ok(match ending {
            Some((_, ending)) => format!("unnamed.{ending}"),
            None => "unnamed".to_owned(),
        });
    }
    if last.chars().count() > FILE_NAME_CHARS || last.chars().any(char::is_control) {
        return Err(ControlError::Invalid(vec![FieldProblem {
            field: "file".to_owned(),
            code: "invalid_filename",
            message: format!(
                "the name of a file has at most {FILE_NAME_CHARS} characters, and none that cannot be seen"
            ),
            help: "give the part another `filename`".to_owned(),
        }]));
    }
    Ok(last.to_owned())
}

/// What the audit log keeps of a file.
fn evidence(file: &File) -> Value {
    json!({
        "filename": file.filename,
        "mime_type": file.mime_type,
        "size_bytes": file.size_bytes,
        "sha256": fresh::hex(&file.sha256),
        "session_id": file.session,
        "expires_at": file.expires_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_follows_the_last_slash() {
        fn name(said: Option<&str>) -> Option<String> {
            filename(said, "text/plain; charset=utf-8").ok()
        }
        for (said, kept) in [
            (Some("a.txt"), Some("a.txt")),
            (Some("../../etc/passwd"), Some("passwd")),
            (Some("C:\\temp\\b.txt"), Some("b.txt")),
            (Some("/"), Some("unnamed.txt")),
            (Some(".."), Some("unnamed.txt")),
            (None, Some("unnamed.txt")),
            (Some("a\u{1b}[0m"), None),
        ] {
            assert_eq!(name(said).as_deref(), kept, "{said:?}");
        }
        assert!(name(Some(&"é".repeat(FILE_NAME_CHARS))).is_some());
        assert!(name(Some(&"é".repeat(FILE_NAME_CHARS + 1))).is_none());
        assert_eq!(filename(None, "x/y").ok().as_deref(), Some("unnamed"));
    }

    #[test]
    fn a_media_type_cannot_carry_a_header() {
        let kept = |said: &str| media_type(Some(said.to_owned()));
        assert_eq!(kept("text/csv"), "text/csv");
        for bad in ["", "text", "text/csv\r\nset-cookie: a", "text/é"] {
            assert_eq!(kept(bad), UNKNOWN_MEDIA_TYPE, "{bad:?}");
        }
    }

    #[test]
    fn a_life_is_an_hour_to_ninety_days() {
        let at = Timestamp::UNIX_EPOCH;
        assert_eq!(expiry(None, at).ok(), Some(None));
        for (seconds, taken) in [
            (3599, false),
            (3600, true),
            (7_776_000, true),
            (7_776_001, false),
            (i64::MAX, false),
            (-1, false),
        ] {
            assert_eq!(expiry(Some(seconds), at).is_ok(), taken, "{seconds}");
        }
    }
}
