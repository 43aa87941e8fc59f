//! What has changed, told to whoever listens.
//!
//! Changes are states and no queue: who is slow is told once of what happened often. So nobody who does not read holds memory.

use std::collections::BTreeMap;

use bailiwick_model::limits::MCP_GATEWAY_SUBSCRIPTIONS;
use tokio::sync::watch;

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
pub struct News(watch::Sender<Board>);

/// How often each thing has changed.
#[derive(Debug, Clone, Default)]
struct Board {
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
        Self(watch::Sender::new(Board::default()))
    }
}

impl News {
    /// Tells of a change. Of more different resources than one may be subscribed to, those that come later are not told.
    pub fn tell(&self, change: Change) {
        self.0.send_modify(|board| match change {
            Change::Tools => board.tools += 1,
            Change::Prompts => board.prompts += 1,
            Change::Resources => board.resources += 1,
            Change::Updated(uri) => {
                let is_known = board.updated.contains_key(&uri);
                if is_known || board.updated.len() < MCP_GATEWAY_SUBSCRIPTIONS {
                    *board.updated.entry(uri).or_default() += 1;
                }
            }
        });
    }

    /// Makes room: of this resource nothing is told any more.
    pub fn forget(&self, uri: &str) {
        self.0.send_if_modified(|board| {
            board.updated.remove(uri);
            false
        });
    }

    pub(crate) fn follow(&self) -> Following {
        let board = self.0.subscribe();
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
    async fn many_different_resources_end_somewhere() {
        let news = News::default();
        let mut following = news.follow();
        for at in 0..MCP_GATEWAY_SUBSCRIPTIONS * 2 {
            news.tell(Change::Updated(format!("a:{at}")));
        }
        assert_eq!(following.next().await.len(), MCP_GATEWAY_SUBSCRIPTIONS);
    }
}
