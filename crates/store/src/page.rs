//! Lists in pages: newest first, each page from where the one before ended.

use bailiwick_model::ResourceId;

/// Which part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest<I> {
    /// Only what is older than this, or, of a list in another order, what comes after it.
    pub before: Option<I>,
    /// At most so many.
    pub limit: u32,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, I> {
    /// The newest first.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next: Option<I>,
}

impl<I: ResourceId> PageRequest<I> {
    /// The bound for a query: ids below it are older.
    pub(crate) fn bound(&self) -> String {
        // No digit of an id sorts after `z`.
        self.before
            .as_ref()
            .map_or_else(|| format!("{}~", I::PREFIX), ToString::to_string)
    }
}

impl<I> PageRequest<I> {
    /// One more than is asked for tells whether there is a next page.
    pub(crate) fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

impl<T, I> Page<T, I> {
    pub(crate) fn of(mut items: Vec<T>, request: &PageRequest<I>, id: impl Fn(&T) -> I) -> Self {
        let limit = request.limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(id);
        Self { items, next }
    }
}
