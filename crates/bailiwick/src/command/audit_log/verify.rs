//! `bailiwick audit-log verify`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use bailiwick_control::{AuditLine, HeadKey, SignedHead, hash_text};
use bailiwick_model::OrganizationId;
use bailiwick_model::limits::AUDIT_LINE_BYTES;
use bailiwick_store::{AuditAnchor, AuditChain, AuditEntry};
use serde_json::Value;

use super::head::{AnchorLine, EndLine, Head};
use crate::bad_input::{BadInput, read_text};
use crate::client::{Client, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output;

/// Bytes of a signed head.
const SIGNED_HEAD_BYTES: usize = 4096;

/// Check an audit log: that no entry was changed, removed, moved or added.
///
/// With a file, nothing else is needed; without one, the server checks its own. The end of the log, its head, is printed: kept elsewhere and
/// given with --head at another time, it shows also whether somebody wrote the whole log anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 the log is whole, 3 it is not.

Examples:
  bailiwick audit-log verify audit.jsonl
  bailiwick audit-log verify
  bailiwick audit-log verify --head 1204:3f0c…")]
pub(crate) struct Arguments {
    /// A log that `bailiwick audit-log export` wrote.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// What the end of the log was at an earlier time: this entry must still be in it.
    #[arg(long, value_name = "NUMBER:HASH")]
    head: Option<Head>,
    /// The same as `bailiwick audit-log head` printed it, with whose signature it must have. A log that a server exports as it goes on, which
    /// has no end, is taken if it reaches this far.
    #[arg(
        long,
        value_name = "HEAD",
        requires = "public_key",
        conflicts_with = "head"
    )]
    signed_head: Option<PathBuf>,
    /// The key that signs heads, in base64. Take it from where it was kept, not from the head.
    #[arg(long, value_name = "KEY", requires = "signed_head")]
    public_key: Option<HeadKey>,
    #[command(flatten)]
    server: ServerArguments,
}

/// What was found.
enum Found {
    /// All of it is what was written; its end.
    Whole(Head),
    /// It is not, and where and why.
    Broken(String),
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let known = match Known::of(arguments)? {
        Ok(known) => known,
        Err(why) => return told(Found::Broken(why)),
    };
    let found = match &arguments.file {
        Some(file) => in_file(file, &known)?,
        None => on_server(&Client::new(&arguments.server, host)?, known.head.as_ref())?,
    };
    told(found)
}

/// What is known of the log from an earlier time.
#[derive(Default)]
struct Known {
    head: Option<Head>,
    /// Whose log it is, if a signature says so.
    organization: Option<OrganizationId>,
}

impl Known {
    /// What the arguments say, or why a head is none.
    fn of(arguments: &Arguments) -> anyhow::Result<Result<Self, String>> {
        let (Some(path), Some(key)) = (&arguments.signed_head, &arguments.public_key) else {
            return Ok(Ok(Self {
                head: arguments.head.clone(),
                organization: None,
            }));
        };
        let text = read_text(path, SIGNED_HEAD_BYTES)?;
        let head: SignedHead = match serde_json::from_str(&text) {
            Ok(head) => head,
            Err(error) => return Ok(Err(format!("the head: {error}"))),
        };
        if let Err(error) = head.check(key) {
            return Ok(Err(format!("the head: {error}")));
        }
        Ok(Ok(Self {
            organization: Some(head.organization_id),
            head: Some(Head {
                entries: head.entries,
                hash: head.hash,
            }),
        }))
    }
}

fn told(found: Found) -> anyhow::Result<ExitCode> {
    match found {
        Found::Whole(end) => {
            output::print(&format!(
                "the log is whole: {} entries; its head is {end}\n",
                end.entries
            ))?;
            Ok(Exit::Done.into())
        }
        Found::Broken(why) => {
            output::print_to_stderr(&format!("the log is not what was written: {why}\n"));
            Ok(Exit::Denied.into())
        }
    }
}

fn in_file(path: &Path, known: &Known) -> anyhow::Result<Found> {
    let file = File::open(path).map_err(|source| BadInput::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    follow(BufReader::new(file), known)
}

/// Entry by entry, so that a log of any size takes no more memory than its longest line, which is bounded: a longer one is no entry.
fn follow(mut reader: impl BufRead, known: &Known) -> anyhow::Result<Found> {
    let head = known.head.as_ref();
    let mut chain: Option<AuditChain> = None;
    let mut anchor = AuditAnchor::default();
    let mut line = String::new();
    loop {
        line.clear();
        let number = chain.as_ref().map_or(0, |chain| chain.end().0) + 1;
        match reader.by_ref().take(AUDIT_LINE_BYTES).read_line(&mut line) {
            Ok(0) => return Ok(without_end(chain.as_ref(), known, number)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Ok(Found::Broken(format!("entry {number} is not text")));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read entry {number}")),
        }
        if let Ok(EndLine { end }) = serde_json::from_str(&line) {
            let after = !reader.fill_buf()?.is_empty();
            return Ok(ended(chain.as_ref(), end, after, head));
        }
        if chain.is_none()
            && anchor == AuditAnchor::default()
            && let Ok(AnchorLine { anchor: found }) = serde_json::from_str(&line)
        {
            match found.anchor() {
                Some(found) => anchor = found,
                None => return Ok(Found::Broken("it begins with no entry".to_owned())),
            }
            continue;
        }
        let (organization, entry) = match AuditLine::parse(&line) {
            Ok(read) => read,
            Err(error) => return Ok(Found::Broken(format!("entry {number}: {error}"))),
        };
        if known
            .organization
            .as_ref()
            .is_some_and(|known| *known != organization)
        {
            return Ok(Found::Broken("it is another organization's".to_owned()));
        }
        let chain = chain.get_or_insert_with(|| AuditChain::after(organization, anchor));
        if let Err(broken) = chain.follow(&entry) {
            return Ok(Found::Broken(broken.to_string()));
        }
        if let Some(broken) = head.and_then(|head| differs(head, &entry)) {
            return Ok(broken);
        }
    }
}

/// A log that goes on has no last line; a head that was signed says how far it must reach.
fn without_end(chain: Option<&AuditChain>, known: &Known, number: i64) -> Found {
    let cut = || Found::Broken(format!("it was cut at entry {number}"));
    let (Some(chain), Some(head), Some(_)) = (chain, &known.head, &known.organization) else {
        return cut();
    };
    match chain.finish() {
        Ok((entries, hash)) if entries >= head.entries => Found::Whole(Head {
            entries,
            hash: hash_text(&hash),
        }),
        Ok(_) => cut(),
        Err(broken) => Found::Broken(broken.to_string()),
    }
}

/// What the last line says of what was before it.
fn ended(chain: Option<&AuditChain>, end: Head, after: bool, head: Option<&Head>) -> Found {
    let (entries, hash) = chain.map_or((0, String::new()), |chain| {
        let (entries, hash) = chain.end();
        (entries, hash_text(&hash))
    });
    let there = Head { entries, hash };
    if let Some(Err(broken)) = chain.map(AuditChain::finish) {
        Found::Broken(broken.to_string())
    } else if after {
        Found::Broken(format!("something follows its end, entry {entries}"))
    } else if there != end {
        Found::Broken(format!("it was cut at entry {}", entries + 1))
    } else {
        reaches(head, end)
    }
}

/// A log that is shorter than it was.
fn reaches(head: Option<&Head>, end: Head) -> Found {
    match head {
        Some(head) if head.entries > end.entries => {
            let first = end.entries + 1;
            Found::Broken(format!(
                "it was cut at entry {first}: it had {} before",
                head.entries
            ))
        }
        Some(_) | None => Found::Whole(end),
    }
}

fn differs(head: &Head, entry: &AuditEntry) -> Option<Found> {
    let changed = entry.sequence == head.entries && hash_text(&entry.hash) != head.hash;
    changed.then(|| Found::Broken(format!("entry {} is another than it was", entry.sequence)))
}

fn on_server(client: &Client, head: Option<&Head>) -> anyhow::Result<Found> {
    let answer = client.get(&["api", "audit-log", "verify"], &[])?;
    let end = match (&answer["broken_at"], &answer["entries"], &answer["hash"]) {
        (Value::Number(at), _, _) => {
            return Ok(Found::Broken(format!(
                "it was changed or cut at entry {at}"
            )));
        }
        (Value::Null, Value::Number(entries), Value::String(hash)) => Head {
            entries: entries.as_i64().unwrap_or_default(),
            hash: hash.clone(),
        },
        _ => anyhow::bail!(
            "the server's answer says neither that the log is whole nor that it is not"
        ),
    };
    if let Some(head) = head.filter(|head| head.entries <= end.entries) {
        let after = (head.entries - 1).to_string();
        let query = [("after", after.as_str()), ("limit", "1")];
        let entry = client.get(&["api", "audit-log"], &query)?;
        let gone = entry.pointer("/anchor/entries").and_then(Value::as_i64);
        if gone.is_some_and(|gone| gone >= head.entries) {
            anyhow::bail!(
                "entry {} was taken away since, because its time was over: give a later head",
                head.entries
            );
        }
        if entry.pointer("/data/0/hash").and_then(Value::as_str) != Some(&head.hash) {
            return Ok(Found::Broken(format!(
                "entry {} is another than it was",
                head.entries
            )));
        }
    }
    Ok(reaches(head, end))
}
