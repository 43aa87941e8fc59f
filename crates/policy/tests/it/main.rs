//! The policy core at its door: what is parsed, what is decided, and why.

mod attacks;
mod changes;
mod data;
mod parsing;
mod properties;
mod reference;
mod support;
mod verdicts;
