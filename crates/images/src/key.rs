//! What a layer is made of, and the key that follows from it.
