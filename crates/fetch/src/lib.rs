//! One page of the web: a GET that is made outside of any sandbox, under the egress policy that a sandbox would have.
//!
//! A fetch asks the same matcher and goes through the same door as a sandbox's connection: `dial`, by way of `outbound`, decides on the name, checks every address
//! that it has, and connects to one that was checked; TLS is verified for that name. Each fetch ends as one [`Flow`](bailiwick_model::Flow),
//! also one that is given up.
//!
//! It must never follow a redirect (whoever asked checks where one leads, and asks again), never send a cookie, a credential or a header of
//! somebody else's, and never hold more of an answer than it was told, before or after a content encoding is taken off.
//!
//! Entry points: [`Web::get`]; [`read_body`] for who asks in another way and reads an answer as carefully.

mod body;
mod brotli;
mod error;
mod web;

pub use body::{ACCEPTED_ENCODINGS, read_body};
pub use error::FetchError;
pub use web::{Page, Visitor, Web};
