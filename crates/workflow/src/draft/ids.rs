//! The characters of ids and names.

/// Maximum characters of a name or an id: both become names of files and folders, which are limited.
pub(super) const LONGEST_ID: usize = 100;

/// True for a workflow name or a step id.
pub(super) fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// True for a name that templates can use as it is.
pub(super) fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
