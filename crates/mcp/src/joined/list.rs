//! Lists of what servers have, as one.
//!
//! What was listed is kept for a short time, in the view of the caller for whom it was, to find what a name stands for and for the pages after
//! the first; a first page is always asked for anew. A server that does not answer does not hide the others: the list says which are missing.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use bailiwick_model::limits::{
    MCP_CURSOR_BYTES, MCP_GATEWAY_LIST_TIME, MCP_GATEWAY_LISTED, MCP_GATEWAY_LISTED_BYTES,
    MCP_GATEWAY_NAME_CHARS, MCP_GATEWAY_PAGE, MCP_GATEWAY_URI_CHARS, MCP_LIST_TIME, MCP_TOOL_PAGES,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use hyper::body::Bytes;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout};

use super::names::{is_qualified, joined, qualified};
use super::{At, Backing, Item, Joined, Naming, Verdict, at};
use crate::client::{McpError, UNREAD};
use crate::lock::lock;
use crate::raw::{Fields, has_few_values, raw_text, write_text};
use crate::upstream::{Failure, HeldAccess, Offer, Question, Upstream};
use crate::view::{Talk, ViewError};

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Tools,
    Resources,
    Templates,
    Prompts,
}

/// A thing in a list.
pub(super) struct Entry {
    pub(super) server: usize,
    /// What its server calls it.
    pub(super) own: String,
    /// What it is called here.
    pub(super) shown: String,
    raw: Vec<u8>,
}

/// What was listed for the caller.
pub(super) struct List {
    at: Instant,
    entries: Vec<Entry>,
    /// Which servers did not say what they have, and why.
    missing: Vec<(usize, Arc<McpError>)>,
}

/// Lists that are kept, none for longer than it is good for: they may be long, and a view may be there all day.
#[derive(Default)]
pub(super) struct Lists(Arc<Kept>);

type Kept = Mutex<HashMap<Kind, Arc<List>>>;

impl List {
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl Lists {
    pub(super) fn forget(&self, kind: Kind) {
        lock(&self.0).remove(&kind);
    }

    fn keep(&self, kind: Kind, list: &Arc<List>) {
        lock(&self.0).insert(kind, Arc::clone(list));
        let (kept, this) = (Arc::downgrade(&self.0), Arc::downgrade(list));
        tokio::spawn(async move {
            sleep(MCP_GATEWAY_LIST_TIME).await;
            if let Some(kept) = kept.upgrade() {
                lock(&kept).retain(|_, list| Arc::as_ptr(list) != this.as_ptr());
            }
        });
    }

    fn fresh(&self, kind: Kind) -> Option<Arc<List>> {
        let kept = lock(&self.0).get(&kind).cloned();
        kept.filter(|list| list.at.elapsed() < MCP_GATEWAY_LIST_TIME)
    }
}

impl Kind {
    fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
            Self::Prompts => "prompts/list",
        }
    }

    /// The field of the result that is the list.
    fn field(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Prompts => "prompts",
        }
    }

    /// The field of a thing that says which one it is.
    fn key(self) -> (&'static str, usize) {
        match self {
            Self::Tools | Self::Prompts => ("name", MCP_GATEWAY_NAME_CHARS),
            Self::Resources => ("uri", MCP_GATEWAY_URI_CHARS),
            Self::Templates => ("uriTemplate", MCP_GATEWAY_URI_CHARS),
        }
    }

    fn offer(self) -> Offer {
        match self {
            Self::Tools => Offer::Tools,
            Self::Resources | Self::Templates => Offer::Resources,
            Self::Prompts => Offer::Prompts,
        }
    }

    pub(super) fn item(self, own: &str) -> Item<'_> {
        match self {
            Self::Tools => Item::Tool(own),
            Self::Resources => Item::Resource(own),
            Self::Templates => Item::Template(own),
            Self::Prompts => Item::Prompt(own),
        }
    }
}

impl<B: Backing> Joined<B> {
    /// A page of a list, as a result.
    pub(super) async fn page(
        &self,
        kind: Kind,
        cursor: Option<String>,
    ) -> Result<Bytes, ViewError> {
        let (list, from) = match cursor {
            None => (self.gather(kind).await?, 0),
            Some(cursor) => {
                let last = URL_SAFE_NO_PAD
                    .decode(cursor)
                    .map_err(|_| ViewError::Cursor)?;
                let list = self.listing(kind).await?;
                let at = list
                    .entries
                    .iter()
                    .position(|it| it.shown.as_bytes() == last);
                (list, at.ok_or(ViewError::Cursor)? + 1)
            }
        };
        let rest = &list.entries[from..];
        let page = &rest[..rest.len().min(MCP_GATEWAY_PAGE)];
        // What was listed a moment ago may not be the caller's any more.
        let mut shown = Vec::with_capacity(page.len());
        for entry in page {
            let name = &self.servers[entry.server].name;
            match self.backing.judge(name, kind.item(&entry.own)).await {
                Verdict::Served => shown.push(&entry.raw[..]),
                Verdict::Hidden => {}
            }
        }
        let mut out = format!("{{\"{}\":[", kind.field()).into_bytes();
        out.extend_from_slice(&shown.join(&b","[..]));
        out.push(b']');
        if let (Some(last), true) = (page.last(), rest.len() > page.len()) {
            out.extend_from_slice(br#","nextCursor":"#);
            write_text(&mut out, &URL_SAFE_NO_PAD.encode(&last.shown));
        }
        if !list.missing.is_empty() {
            let missing = list.missing.iter().map(|(server, error)| {
                json!({"server": self.servers[*server].name.as_str(), "error": error.to_string()})
            });
            let missing: Vec<_> = missing.collect();
            out.extend_from_slice(br#","_meta":{"bailiwick/missing":"#);
            out.extend_from_slice(json!(missing).to_string().as_bytes());
            out.push(b'}');
        }
        out.push(b'}');
        Ok(out.into())
    }

    /// What was listed a short time ago, or is now. It was not judged: that is done for each use.
    pub(super) async fn listing(&self, kind: Kind) -> Result<Arc<List>, ViewError> {
        match self.lists.fresh(kind) {
            Some(list) => Ok(list),
            None => self.gather(kind).await,
        }
    }

    async fn gather(&self, kind: Kind) -> Result<Arc<List>, ViewError> {
        let all = (0..self.servers.len()).map(|server| async move {
            let listing = timeout(MCP_LIST_TIME, self.of_server(kind, server));
            listing.await.unwrap_or(Err(McpError::Timeout))
        });
        let mut list = List {
            at: Instant::now(),
            entries: Vec::new(),
            missing: Vec::new(),
        };
        let mut known = HashSet::new();
        for (server, listed) in join_all(all).await.into_iter().enumerate() {
            match listed {
                Ok(things) => self.add((&mut list.entries, &mut known), (kind, server), things),
                Err(error) => list.missing.push((server, Arc::new(error))),
            }
        }
        if let (true, Some((server, error))) = (list.entries.is_empty(), list.missing.first()) {
            return Err(ViewError::Failed {
                server: self.servers[*server].name.to_string(),
                error: Arc::clone(error),
            });
        }
        let list = Arc::new(list);
        self.lists.keep(kind, &list);
        Ok(list)
    }

    /// Names the things of a server. Of two that it gives one name the first counts.
    fn add(
        &self,
        (entries, known): (&mut Vec<Entry>, &mut HashSet<String>),
        (kind, server): (Kind, usize),
        things: Vec<Bytes>,
    ) {
        let name = &self.servers[server].name;
        let mut own_names = HashSet::new();
        for thing in things {
            let (key, most) = kind.key();
            let Some(fields) = Fields::of(&thing) else {
                continue;
            };
            let own = fields
                .text(key)
                .map(std::borrow::Cow::into_owned)
                .unwrap_or_default();
            if own.is_empty() || own.len() > most || !own_names.insert(own.clone()) {
                continue;
            }
            let shown = match (kind, self.naming) {
                (Kind::Tools | Kind::Prompts, Naming::Own) => own.clone(),
                (Kind::Tools | Kind::Prompts, Naming::Joined) => joined(name, &own),
                (Kind::Resources | Kind::Templates, _) if self.servers.len() == 1 => own.clone(),
                (Kind::Resources | Kind::Templates, _) => {
                    if is_qualified(&own) || known.contains(&own) {
                        qualified(name, &own)
                    } else {
                        own.clone()
                    }
                }
            };
            if !known.insert(shown.clone()) {
                continue;
            }
            let raw = if shown == own {
                thing.to_vec()
            } else {
                fields.with(key, &raw_text(&shown)).whole()
            };
            entries.push(Entry {
                server,
                own,
                shown,
                raw,
            });
        }
    }

    /// All pages of one server, as far as anybody reads them.
    async fn of_server(&self, kind: Kind, server: usize) -> Result<Vec<Bytes>, McpError> {
        let upstream = match &self.servers[server].at {
            At::Url(upstream) => upstream,
            At::Here(local) => return at::list(local.as_ref(), kind.method(), kind.field()).await,
        };
        let name = &self.servers[server].name;
        let access = self.backing.access(name).await?;
        match self.pages((kind, server), upstream, &access).await {
            Err(McpError::Unauthorized) => {
                let access = self.backing.access_anew(name, &access).await?;
                self.pages((kind, server), upstream, &access).await
            }
            listed => listed,
        }
    }

    async fn pages(
        &self,
        (kind, server): (Kind, usize),
        upstream: &Arc<Upstream>,
        access: &HeldAccess,
    ) -> Result<Vec<Bytes>, McpError> {
        let offers = upstream.offers(access, kind.offer()).await;
        if !offers.map_err(Failure::error)? {
            return Ok(Vec::new());
        }
        let told = |change| self.told(server, change);
        let (mut things, mut bytes) = (Vec::new(), 0);
        let mut fields = Vec::new();
        for _ in 0..MCP_TOOL_PAGES {
            let question = Question {
                method: kind.method(),
                fields: &fields,
                name: None,
            };
            let page = upstream
                .ask(access, &question, (&Talk::silent(), &told))
                .await;
            let page = page.map_err(Failure::error)?;
            if !has_few_values(&page) {
                return Err(UNREAD);
            }
            let read = Fields::of(&page).unwrap_or_default();
            let listed = read
                .get(kind.field())
                .map(RawValue::get)
                .unwrap_or_default();
            let listed: Vec<&RawValue> = serde_json::from_str(listed)
                .map_err(|_| McpError::Malformed("what it lists is not a list"))?;
            for thing in listed {
                bytes += thing.get().len();
                if things.len() >= MCP_GATEWAY_LISTED || bytes > MCP_GATEWAY_LISTED_BYTES {
                    return Ok(things);
                }
                things.push(page.slice_ref(thing.get().as_bytes()));
            }
            let next = read.get("nextCursor").filter(|next| next.get() != "null");
            let Some(next) = next else {
                return Ok(things);
            };
            if !next.get().starts_with('"') || next.get().len() > MCP_CURSOR_BYTES {
                return Err(McpError::Malformed("a cursor is not text, or too long"));
            }
            fields = [&br#""cursor":"#[..], next.get().as_bytes()].concat();
        }
        Err(McpError::Malformed("its list does not end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_list_is_let_go_once_it_is_good_for_nothing() {
        let lists = Lists::default();
        let list = || {
            Arc::new(List {
                at: Instant::now(),
                entries: Vec::new(),
                missing: Vec::new(),
            })
        };
        let (first, second, other) = (list(), list(), list());
        lists.keep(Kind::Tools, &first);
        sleep(MCP_GATEWAY_LIST_TIME / 2).await;
        lists.keep(Kind::Tools, &second);
        lists.keep(Kind::Prompts, &other);
        // The time of the first is over, and that of the one in its place is not.
        sleep(MCP_GATEWAY_LIST_TIME * 3 / 4).await;
        assert_eq!(
            (Arc::strong_count(&first), Arc::strong_count(&second)),
            (1, 2)
        );
        sleep(MCP_GATEWAY_LIST_TIME).await;
        assert_eq!(
            (Arc::strong_count(&second), Arc::strong_count(&other)),
            (1, 1)
        );
    }
}
