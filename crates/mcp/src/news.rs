//! What has changed, told to whoever listens.
//!
//! Changes are states and no queue: who is slow is told once of what happened often. So nobody who does not read holds memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bailiwick_model::limits::MCP_GATEWAY_SUBSCRIPTIONS;
use tokio::sync::watch;

use crate::lock::lock;

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// There are other tools.
    Tools,
    /// There are other prompts.
    Prompts,
    /// There are other resources.
    Resources,
    /// A resource is another.
    Updated(String),
}

/// Where changes are told.
#[derive(Debug)]
pub struct News {
    board: watch::Sender<Board>,
    /// How many streams want to know of each resource.
    held: Mutex<BTreeMap<String, usize>>,
}

/// Which change of each thing was the last one. Changes are counted together: what is forgotten and comes again never looks as it did.
#[derive(Debug, Clone, Default)]
struct Board {
    changes: u64,
    tools: u64,
    prompts: u64,
    resources: u64,
    updated: BTreeMap<String, u64>,
}

/// Who listens, from now on.
#[derive(Debug, Clone)]
pub(crate) struct Following {
    board: watch::Receiver<Board>,
    seen: Board,
}

impl Default for News {
    fn default() -> Self {
        Self {
            board: watch::Sender::new(Board::default()),
            held: Mutex::default(),
        }
    }
}

impl News {
    /// Tells of a change. Of more different resources than one may be subscribed to, those that come later are not told.
    pub fn tell(&self, change: Change) {
        self.board.send_modify(|board| {
            board.changes += 1;
            match change {
                Change::Tools => board.tools = board.changes,
                Change::Prompts => board.prompts = board.changes,
                Change::Resources => board.resources = board.changes,
                Change::Updated(uri) => {
                    let is_known = board.updated.contains_key(&uri);
                    if is_known || board.updated.len() < MCP_GATEWAY_SUBSCRIPTIONS {
                        board.updated.insert(uri, board.changes);
                    }
                }
            }
        });
    }

    /// Makes room: of this resource nothing is told any more.
    pub fn forget(&self, uri: &str) {
        self.board.send_if_modified(|board| {
            board.updated.remove(uri);
            false
        });
    }

    /// One stream more wants to know of a resource.
    pub(crate) fn hold(&self, uri: &str) {
        *lock(&self.held).entry(uri.to_owned()).or_default() += 1;
    }

    /// One stream less does; whether it was the last one.
    pub(crate) fn release(&self, uri: &str) -> bool {
        let mut held = lock(&self.held);
        let Some(count) = held.get_mut(uri) else {
            return false;
        };
        *count -= 1;
        let is_last = *count == 0;
        if is_last {
            held.remove(uri);
        }
        is_last
    }

    /// Whether a stream wants to know of it.
    pub(crate) fn is_held(&self, uri: &str) -> bool {
        lock(&self.held).contains_key(uri)
    }

    pub(crate) fn follow(&self) -> Following {
        let board = self.board.subscribe();
        let seen = board.borrow().clone();
        Following { board, seen }
    }
}

impl Following {
    /// What has changed since it was last asked; it waits until something has. Nothing is lost where it is not waited for to the end.
    pub(crate) async fn next(&mut self) -> Vec<Change> {
        loop {
            let changes = self.changes();
            if !changes.is_empty() {
                return changes;
            }
            if self.board.changed().await.is_err() {
                // Nobody tells anything any more.
                std::future::pending::<()>().await;
            }
        }
    }

    fn changes(&mut self) -> Vec<Change> {
        let board = self.board.borrow_and_update().clone();
        let seen = std::mem::replace(&mut self.seen, board);
        let now = &self.seen;
        let mut changes = Vec::new();
        let lists = [
            (seen.tools, now.tools, Change::Tools),
            (seen.prompts, now.prompts, Change::Prompts),
            (seen.resources, now.resources, Change::Resources),
        ];
        for (before, after, change) in lists {
            changes.extend((before != after).then_some(change));
        }
        let updated = now.updated.iter();
        let updated = updated.filter(|(uri, count)| seen.updated.get(*uri) != Some(*count));
        changes.extend(updated.map(|(uri, _)| Change::Updated(uri.clone())));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_slow_is_told_once_of_what_happened_often() {
        let news = News::default();
        news.tell(Change::Prompts);
        let mut following = news.follow();
        for _ in 0..1000 {
            news.tell(Change::Tools);
            news.tell(Change::Updated("a:b".to_owned()));
        }
        let expect = vec![Change::Tools, Change::Updated("a:b".to_owned())];
        assert_eq!(following.next().await, expect);
        assert!(following.changes().is_empty());
    }

    #[tokio::test]
    async fn what_was_forgotten_and_changes_again_is_told_again() {
        let news = News::default();
        let mut following = news.follow();
        let updated = || Change::Updated("a:b".to_owned());
        for _ in 0..3 {
            news.tell(updated());
            assert_eq!(following.changes(), [updated()]);
            news.forget("a:b");
        }
    }

    #[test]
    fn the_last_stream_that_lets_go_of_a_resource_is_told_so() {
        let news = News::default();
        news.hold("a:b");
        news.hold("a:b");
        assert!(!news.release("a:b") && news.is_held("a:b"));
        assert!(news.release("a:b") && !news.is_held("a:b"));
        assert!(!news.release("a:b"));
    }

    #[tokio::test]
    async fn many_different_resources_end_somewhere() {
        let news = News::default();
        let mut following = news.follow();
        for at in 0..MCP_GATEWAY_SUBSCRIPTIONS * 2 {
            news.tell(Change::Updated(format!("a:{at}")));
        }
        assert_eq!(following.next().await.len(), MCP_GATEWAY_SUBSCRIPTIONS);
    }
}
