//! Dialling on loopback: what is reached, and what is refused on the way.

mod addresses;
mod operator;
mod proxy;
mod world;
