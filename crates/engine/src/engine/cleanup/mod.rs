//! Removes files that nothing needs any more.

pub(crate) mod discards;
pub(crate) mod janitor;
pub(crate) mod tree_index;
