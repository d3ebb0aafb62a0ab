//! Cuts the end of a program's output to fit a message.

use super::visible::style_length;

/// Maximum size of an excerpt in bytes.
pub const EXCERPT_BYTES: usize = 4096;
const LINE_BYTES: usize = 1024;

/// Returns the last `count` lines as a terminal finally shows them: only the last drawing of a redrawn line, without
/// colours. Marks where bytes were left out.
pub fn excerpt(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    let end = lines.len() - usize::from(text.ends_with('\n'));
    let last = &lines[end.saturating_sub(count)..end];
    let mut shown: Vec<String> = Vec::new();
    let mut left = EXCERPT_BYTES;
    for line in last.iter().rev() {
        let line = shortened(last_drawing(line), LINE_BYTES);
        if line.len() > left {
            shown.push("[lines before this are left out]".to_owned());
            break;
        }
        left -= line.len();
        shown.push(line);
    }
    shown.reverse();
    shown.join("\n")
}

/// Keeps the start and the end of a message that was stored before messages were bounded.
pub fn bounded(message: &str) -> String {
    if message.len() <= 2 * EXCERPT_BYTES && !message.contains('\r') {
        return message.to_owned();
    }
    let lines: Vec<String> = message.split('\n').map(last_drawing).collect();
    shortened(lines.join("\n"), 2 * EXCERPT_BYTES)
}

/// Returns what a terminal finally shows of a line, without colours.
pub fn plain_line(line: &str) -> String {
    last_drawing(line)
}

/// Returns what a terminal shows of a redrawn line.
fn last_drawing(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let drawn = line.rsplit('\r').find(|drawn| !drawn.is_empty()).unwrap_or_default();
    without_styles(drawn)
}

/// Removes colours and line-clearing sequences; the text reads the same.
fn without_styles(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        plain.push_str(&rest[..at]);
        let from = &rest[at..];
        let clears = ["\x1b[K", "\x1b[0K", "\x1b[1K", "\x1b[2K"].iter().find(|clear| from.starts_with(**clear));
        let length = clears.map_or(style_length(from), |clear| clear.len());
        if length == 0 {
            plain.push('\x1b');
        }
        rest = &from[length.max(1)..];
    }
    plain.push_str(rest);
    plain
}

/// Replaces the middle of a text longer than `most` bytes with the number of bytes left out.
fn shortened(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let start = floor(&text, most / 4);
    let end = floor(&text, text.len() - most / 2);
    format!("{} [{} bytes are left out] {}", &text[..start], end - start, &text[end..])
}

/// The largest character boundary up to `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_line_that_is_drawn_again_the_last_drawing_stays() {
        let mut text: String = (0..1000).map(|n| format!("\r{n}/1000 it/s")).collect();
        text.push_str("\r\n\x1b[31mValueError\x1b[0m: the cause\r\n");
        assert_eq!(excerpt(&text, 10), "999/1000 it/s\nValueError: the cause");
        assert_eq!(excerpt("10 %\x1b[K\r20 %\x1b[K\r", 10), "20 %");
    }

    #[test]
    fn an_excerpt_has_the_last_lines_and_a_bound() {
        assert_eq!(excerpt("a\nb\nc\n", 2), "b\nc");
        assert_eq!(excerpt("a\n\n  c", 3), "a\n\n  c");
        assert_eq!(excerpt("", 3), "");
        let long = format!("{}\nthe cause", "ä".repeat(100_000));
        let shown = excerpt(&long, 10);
        assert!(shown.ends_with("ä\nthe cause") && shown.contains("bytes are left out"), "{shown}");
        let many: String = (0..100).map(|n| format!("{n} {}\n", "x".repeat(200))).collect();
        let shown = excerpt(&many, 100);
        assert!(shown.len() < EXCERPT_BYTES + 200, "{}", shown.len());
        assert!(shown.starts_with("[lines before this are left out]\n") && shown.contains("\n99 xx"), "{shown}");
    }

    #[test]
    fn a_stored_message_without_bound_is_cut_in_its_middle() {
        let redrawn: String = (0..10_000).map(|n| format!("\r{n}/10000")).collect();
        assert_eq!(bounded(&format!("it failed:\n{redrawn}\nthe cause")), "it failed:\n9999/10000\nthe cause");
        let shown = bounded(&format!("it failed: {} the cause", "x".repeat(1_000_000)));
        assert!(shown.starts_with("it failed: x") && shown.ends_with("x the cause"));
        assert!(shown.len() < 2 * EXCERPT_BYTES, "{}", shown.len());
    }
}
