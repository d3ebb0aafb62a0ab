//! Makes outside text safe to show: names, files and programs may contain terminal control characters.

use std::borrow::Cow;

/// Escapes control characters, and characters that change the direction of text or are invisible, as `\x1b`
/// or `\u{202e}`. Keeps line feeds and tabs.
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |c| !matches!(c, '\n' | '\t') && is_hidden(c))
}

/// Like [`visible`], on one line, for table cells and field values.
pub fn visible_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden)
}

/// Like [`visible`], but keeps colours and other styles (`ESC [ ... m`).
pub fn visible_styled(text: &str) -> Cow<'_, str> {
    if !text.contains('\x1b') {
        return visible(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        let (before, from) = rest.split_at(at);
        shown.push_str(&visible(before));
        let length = style_length(from);
        match length {
            0 => shown.push_str("\\x1b"),
            _ => shown.push_str(&from[..length]),
        }
        rest = &from[length.max(1)..];
    }
    shown.push_str(&visible(rest));
    Cow::Owned(shown)
}

/// Length in bytes of the style sequence at the start of `text`, or 0.
pub(super) fn style_length(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\x1b[") else { return 0 };
    let parameters = rest.bytes().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':')).count();
    if rest[parameters..].starts_with('m') { parameters + 3 } else { 0 }
}

/// True for characters that are invisible or change how the text around them looks. The joiners of emoji and of
/// several scripts are excluded.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

fn escaped(text: &str, hides: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hides) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !hides(c) => shown.push(c),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if u32::from(c) < 0x100 => shown.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => shown.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_as_text() {
        for (raw, shown) in [
            ("plain, ü, 日本, 👩‍🚀, tab\tand\nline", "plain, ü, 日本, 👩‍🚀, tab\tand\nline"),
            ("\x1b]0;title\x07\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J"),
            ("\0\x08\x7f\u{9b}31m", "\\x00\\x08\\x7f\\x9b31m"),
            ("10 %\r20 %", "10 %\\r20 %"),
            ("a\u{202e}txt.exe\u{2066}b\u{200b}", "a\\u{202e}txt.exe\\u{2066}b\\u{200b}"),
        ] {
            assert_eq!(visible(raw), shown);
        }
    }

    #[test]
    fn a_cell_stays_on_its_line() {
        assert_eq!(visible_line("a\nb\tc\r\u{85}\u{2028}"), "a\\nb\\tc\\r\\x85\\u{2028}");
    }

    #[test]
    fn styles_can_stay_and_nothing_else() {
        let raw = "\x1b[1;31mred\x1b[0m \x1b[2J\x1b]0;x\x07 \x1b[38:5:1mx\x1b[m\x1b";
        let shown = "\x1b[1;31mred\x1b[0m \\x1b[2J\\x1b]0;x\\x07 \x1b[38:5:1mx\x1b[m\\x1b";
        assert_eq!(visible_styled(raw), shown);
    }
}
