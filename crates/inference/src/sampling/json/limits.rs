//! Limits of texts, and the white space between their parts.

/// Most objects and arrays inside each other.
pub const DEPTH: u32 = 64;
/// Most bytes of white space in a row: without a limit, a model may write nothing else.
pub const SPACE: u8 = 64;

/// White space of JSON.
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
