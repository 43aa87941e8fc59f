//! Dialling on loopback: what is reached, and what is refused on the way.

mod addresses;
mod proxy;
mod world;
