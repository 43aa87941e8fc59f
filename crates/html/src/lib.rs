//! From what a stranger wrote as HTML to text that reads well, in one pass.
//!
//! No tree is built: the parsers of browsers take time and memory out of proportion for pages that are made to cost (100 000 elements inside
//! one another), and a page is whatever a stranger wrote. What this loses is what only a tree knows, such as columns of tables. Everything here takes
//! time in proportion to what it is given, and fails on nothing.
//!
//! It must never run, load or follow anything that is named in a page.
//!
//! Entry points: [`text`] for all that a page says; [`page`] for what it is about, and where it leads; [`storage`] for pages of Confluence; [`sitemap`] for lists of pages;
//! [`decode`] for bytes of an unknown encoding.

mod decode;
mod entity;
mod page;
mod scan;
mod sitemap;
mod storage;
mod text;

pub use decode::{decode, is_html};
pub use page::{Indexing, Link, Page, Purpose, page};
pub use sitemap::{Listed, Sitemap, sitemap};
pub use storage::storage;
pub use text::text;
