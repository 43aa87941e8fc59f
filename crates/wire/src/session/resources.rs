//! What a session is to have: files and repositories, each with its place in the sandbox.

use std::collections::BTreeSet;

use bailiwick_model::{GitRef, SecretText, limits};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::json::FieldProblem;
use crate::request::{Fields, Place, Reader};

/// Something that a session is to have.
#[derive(Debug, Clone)]
pub enum ResourceMount {
    /// A copy of a file.
    File(FileMount),
    /// A repository.
    Repository(RepositoryMount),
    /// A memory store, which there are none of: its id, if it is one.
    MemoryStore(String),
}

/// A copy of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMount {
    /// Of which file: an id, if it is one.
    pub file: String,
    /// Where it is to be, below `/mnt/session/uploads`.
    pub mount_path: String,
}

/// A repository of GitHub.
#[derive(Debug, Clone)]
pub struct RepositoryMount {
    /// `https://github.com/OWNER/REPOSITORY`.
    pub url: String,
    /// What it is to be at; none is its default branch.
    pub checkout: Option<Checkout>,
    /// Where it is to be, below `/workspace`.
    pub mount_path: String,
    /// What it is cloned with, if it is not public.
    pub token: Option<SecretText>,
}

/// What a repository is at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Checkout {
    /// The end of a branch.
    Branch {
        /// Its name.
        name: String,
    },
    /// A commit.
    Commit {
        /// Its hash, or the beginning of it.
        sha: String,
    },
}

/// Where files are.
const UPLOADS: &str = "/mnt/session/uploads";
/// Where repositories are.
const WORKSPACE: &str = "/workspace";
const GITHUB: &str = "https://github.com/";

#[derive(Clone, Copy)]
enum Kind {
    File,
    Repository,
    MemoryStore,
}

const KINDS: &[(&str, Kind)] = &[
    ("file", Kind::File),
    ("github_repository", Kind::Repository),
    ("memory_store", Kind::MemoryStore),
];

impl ResourceMount {
    /// Where it is to be; a memory store is where its name says.
    pub fn mount_path(&self) -> Option<&str> {
        match self {
            Self::File(file) => Some(&file.mount_path),
            Self::Repository(repository) => Some(&repository.mount_path),
            Self::MemoryStore(_) => None,
        }
    }

    fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        reader.object(place, |reader, fields| {
            let kind = fields.required(reader, "type");
            let Some(kind) = kind.and_then(|place| reader.word(&place, KINDS)) else {
                // Which other fields there may be depends on it.
                fields.ignore_rest();
                return None;
            };
            match kind {
                Kind::File => FileMount::read(reader, fields).map(Self::File),
                Kind::Repository => RepositoryMount::read(reader, fields).map(Self::Repository),
                Kind::MemoryStore => memory_store(reader, fields).map(Self::MemoryStore),
            }
        })
    }
}

pub(super) fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Vec<ResourceMount>> {
    let places = reader.list(place, 0..=limits::SESSION_RESOURCES)?;
    let mounts = reader.each(&places, ResourceMount::read)?;
    let files = mounts
        .iter()
        .filter(|mount| matches!(mount, ResourceMount::File(_)));
    let (count, most) = (files.count(), limits::SESSION_FILES);
    if count > most {
        let message = format!("has at most {most} files, this one {count}");
        reader.refuse(&place.path, "too_much", message, "leave some out");
    }
    let mut taken = BTreeSet::new();
    for (mount, place) in mounts.iter().zip(&places) {
        let Some(path) = mount.mount_path() else {
            continue;
        };
        if overlapping(&taken, path) {
            let message = format!("{path} is in the place of another one");
            let help = "choose another `mount_path`";
            reader.refuse(&place.path, "mount_path_taken", message, help);
        }
        taken.insert(path.to_owned());
    }
    Some(mounts)
}

/// Whether a path is one of these, or in one of them, or one of them is in it.
pub fn overlapping(taken: &BTreeSet<String>, path: &str) -> bool {
    let within = |(index, _): (usize, &str)| taken.contains(&path[..index]);
    let below = format!("{path}/");
    let first_below = taken.range(below.clone()..).next();
    taken.contains(path)
        || path.match_indices('/').any(within)
        || first_below.is_some_and(|one| one.starts_with(&below))
}

/// Reads the body that gives a file to a session: nothing else can come later.
///
/// # Errors
///
/// Everything that is wrong with it, each with its field.
pub fn added_resource(body: &Map<String, Value>) -> Result<FileMount, Vec<FieldProblem>> {
    let mut reader = Reader::default();
    let read = reader.body(body, |reader, fields| {
        let kind = fields.required(reader, "type");
        if kind
            .and_then(|place| reader.word(&place, &[("file", ())]))
            .is_none()
        {
            fields.ignore_rest();
            return None;
        }
        FileMount::read(reader, fields)
    });
    reader.end(read)
}

/// Reads the body that gives a repository another token.
///
/// # Errors
///
/// As [`added_resource`].
pub fn rotated_token(body: &Map<String, Value>) -> Result<SecretText, Vec<FieldProblem>> {
    let mut reader = Reader::default();
    let read = reader.body(body, |reader, fields| {
        let place = fields.required(reader, "authorization_token")?;
        token(reader, &place)
    });
    reader.end(read)
}

fn token(reader: &mut Reader, place: &Place<'_>) -> Option<SecretText> {
    let text = reader.text(place, 1..=limits::REPOSITORY_TOKEN_CHARS)?;
    if !text.bytes().all(|byte| matches!(byte, b'!'..=b'~')) {
        let message = "a token has no white space and no characters beyond ASCII";
        let help = "write the token as GitHub shows it";
        reader.refuse(&place.path, "invalid_token", message, help);
        return None;
    }
    Some(SecretText::new(text.to_owned()))
}

impl FileMount {
    fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Self> {
        let (file, path) = (
            fields.required(reader, "file_id"),
            fields.take("mount_path"),
        );
        let file = file.and_then(|place| reader.text(&place, 1..=limits::REFERENCE_CHARS));
        let path = match path {
            Some(place) => uploads_path(reader, &place).map(Some),
            None => Some(None),
        };
        let (file, path) = (file?.to_owned(), path?);
        let path = path.unwrap_or_else(|| file.clone());
        // Who names the place in full means it.
        let below = path
            .strip_prefix(UPLOADS)
            .filter(|below| below.starts_with('/'))
            .unwrap_or(&path);
        let mount_path = format!("{UPLOADS}/{}", below.trim_start_matches('/'));
        Some(Self { file, mount_path })
    }
}

impl RepositoryMount {
    fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Self> {
        let url = fields.required(reader, "url");
        let (authorization, checkout) =
            (fields.take("authorization_token"), fields.take("checkout"));
        let path = fields.take("mount_path");
        let url = url.and_then(|place| url_of(reader, &place));
        let token = match authorization {
            Some(place) => token(reader, &place).map(Some),
            None => Some(None),
        };
        let checkout = match checkout {
            Some(place) => Checkout::read(reader, &place).map(Some),
            None => Some(None),
        };
        let path = match path {
            Some(place) => workspace_path(reader, &place).map(Some),
            None => Some(None),
        };
        let url = url?;
        let name = url.rsplit('/').next().unwrap_or_default();
        Some(Self {
            url: url.to_owned(),
            checkout: checkout?,
            mount_path: path?.unwrap_or_else(|| format!("{WORKSPACE}/{name}")),
            token: token?,
        })
    }
}

impl Checkout {
    fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        reader.object(place, |reader, fields| {
            let kind = fields.required(reader, "type");
            let kinds = [("branch", true), ("commit", false)];
            let Some(is_branch) = kind.and_then(|place| reader.word(&place, &kinds)) else {
                fields.ignore_rest();
                return None;
            };
            if is_branch {
                let name = fields.required(reader, "name")?;
                return branch(reader, &name).map(|name| Self::Branch { name });
            }
            let place = fields.required(reader, "sha")?;
            let sha = reader.text(&place, 7..=64)?;
            if !sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                let message = "is not the hash of a commit";
                let help = "write 7 to 64 hexadecimal digits";
                reader.refuse(&place.path, "invalid_commit", message, help);
                return None;
            }
            Some(Self::Commit {
                sha: sha.to_owned(),
            })
        })
    }
}

fn branch(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    let name = reader.text(place, 1..=limits::BRANCH_CHARS)?;
    if let Err(problem) = name.parse::<GitRef>() {
        let message = format!("is not the name of a branch: {problem}");
        reader.refuse(
            &place.path,
            "invalid_branch",
            message,
            "write it as git does",
        );
        return None;
    }
    Some(name.to_owned())
}

/// `https://github.com/OWNER/REPOSITORY`, with what GitHub takes for names.
fn url_of<'a>(reader: &mut Reader, place: &Place<'a>) -> Option<&'a str> {
    let url = reader.text(place, 1..=limits::REPOSITORY_URL_CHARS)?;
    let is_name = |name: &str, signs: &[u8]| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || signs.contains(&byte);
        !name.is_empty() && name.bytes().all(plain) && name != "." && name != ".."
    };
    let path = url
        .strip_prefix(GITHUB)
        .and_then(|path| path.split_once('/'));
    let is_one = path.is_some_and(|(owner, name)| {
        is_name(owner, b"-_") && is_name(name, b"-_.") && !name.ends_with(".git")
    });
    if is_one {
        return Some(url);
    }
    let message = "is not https://github.com/OWNER/REPOSITORY";
    let help = "write it so, without `.git` and without a user";
    reader.refuse(&place.path, "invalid_url", message, help);
    None
}

/// A path that has room below the directory where a server places files.
fn uploads_path(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    const MOST: usize = limits::FILE_MOUNT_PATH_BYTES;
    let path = path_of(reader, place, MOST)?;
    if path.len() > MOST {
        let message = format!("has at most {MOST} bytes, this one {}", path.len());
        let help = "choose a shorter path";
        reader.refuse(&place.path, "too_long", message, help);
        return None;
    }
    Some(path)
}

fn workspace_path(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    let path = path_of(reader, place, limits::MOUNT_PATH_CHARS)?;
    let below = path
        .strip_prefix(WORKSPACE)
        .and_then(|rest| rest.strip_prefix('/'));
    if below.is_none_or(str::is_empty) {
        let message = format!("a repository is below {WORKSPACE}");
        let help = format!("write {WORKSPACE}/NAME");
        reader.refuse(&place.path, "invalid_mount_path", message, help);
        return None;
    }
    Some(path)
}

/// A path that leads nowhere else than where it says, and that can be shown.
fn path_of(reader: &mut Reader, place: &Place<'_>, chars: usize) -> Option<String> {
    let path = reader.text(place, 1..=chars)?;
    let relative = path.strip_prefix('/').unwrap_or(path);
    let is_component = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255;
    if path.chars().any(char::is_control) || !relative.split('/').all(is_component) {
        let message = "is not a plain path";
        let help = "write one without `.`, `..`, empty parts and control characters";
        reader.refuse(&place.path, "invalid_mount_path", message, help);
        return None;
    }
    Some(path.to_owned())
}

fn memory_store(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<String> {
    let (store, access) = (
        fields.required(reader, "memory_store_id"),
        fields.take("access"),
    );
    let instructions = fields.take("instructions");
    let store = store.and_then(|place| reader.text(&place, 1..=limits::REFERENCE_CHARS));
    if let Some(place) = access {
        reader.word(&place, &[("read_write", ()), ("read_only", ())])?;
    }
    if let Some(place) = instructions {
        reader.text(&place, 0..=limits::MOUNT_PATH_CHARS)?;
    }
    store.map(str::to_owned)
}
