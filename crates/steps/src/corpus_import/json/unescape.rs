//! Decodes JSON strings.

use std::borrow::Cow;

/// Decodes a valid JSON string, given without its quotes. Also returns the number of unpaired surrogates that became
/// U+FFFD.
pub fn unescape(raw: &str) -> (Cow<'_, str>, u64) {
    let Some(first) = memchr::memchr(b'\\', raw.as_bytes()) else { return (Cow::Borrowed(raw), 0) };
    let mut out = String::with_capacity(raw.len());
    out.push_str(&raw[..first]);
    let (mut rest, mut lone) = (&raw[first..], 0);
    while let Some(escaped) = rest.strip_prefix('\\') {
        let (c, length) = character(escaped);
        lone += u64::from(c.is_none());
        out.push(c.unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = &escaped[length..];
        let next = memchr::memchr(b'\\', rest.as_bytes()).unwrap_or(rest.len());
        out.push_str(&rest[..next]);
        rest = &rest[next..];
    }
    (Cow::Owned(out), lone)
}

/// Decodes an escape without its backslash; returns the character and its length in bytes, or `None` for half a pair.
fn character(escaped: &str) -> (Option<char>, usize) {
    let simple = match escaped.as_bytes().first() {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{C}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(escaped),
        Some(other) => char::from(*other),
        None => return (None, 0),
    };
    (Some(simple), 1)
}

fn unicode(escaped: &str) -> (Option<char>, usize) {
    const LENGTH: usize = "u0000".len();
    let unit = |text: &str| text.get(1..LENGTH).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let Some(first) = unit(escaped) else { return (None, escaped.len().min(LENGTH)) };
    if let Some(c) = char::from_u32(first) {
        return (Some(c), LENGTH);
    }
    let second = escaped[LENGTH..].strip_prefix('\\').filter(|next| next.starts_with('u')).and_then(unit);
    match (first, second) {
        (0xD800..=0xDBFF, Some(second @ 0xDC00..=0xDFFF)) => {
            let c = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            (char::from_u32(c), 2 * LENGTH + 1)
        }
        _ => (None, LENGTH),
    }
}
