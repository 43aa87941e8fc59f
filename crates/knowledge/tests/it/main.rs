//! Connectors against stand-ins of what they read, under the egress policy of an environment.

mod attacks;
mod confluence;
mod crawls;
mod directories;
mod documents;
mod driver;
mod github;
mod processes;
mod repositories;
mod sitemaps;
mod world;
