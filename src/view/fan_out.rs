//! How much of a fan-out is shown.

/// Fan-outs with more children than this take one line, unless the full list is requested.
pub const MOST_CHILDREN: u64 = 100;
