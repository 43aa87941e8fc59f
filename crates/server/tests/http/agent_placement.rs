//! Where agents are placed.
