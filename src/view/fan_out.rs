//! Limits for the items of a fan-out that are shown.

/// Fan-outs with more children than this take one line, unless the full list is requested.
pub const MOST_CHILDREN: u64 = 100;
