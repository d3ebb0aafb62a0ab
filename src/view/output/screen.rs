//! Shows a log on a terminal: colours, tabs, line ends and carriage returns pass; all other control characters appear
//! as text.

use stepwell_base::visible::visible_styled;

/// Longest style sequence to hold back at the end of a part, in bytes.
const LONGEST_STYLE: usize = 64;

/// Accepts a log in parts that may end anywhere.
#[derive(Default)]
pub struct Screen {
    /// The end of the last part: an incomplete character or style.
    held: Vec<u8>,
}

impl Screen {
    /// Returns the text that can be shown so far.
    pub fn show(&mut self, part: &[u8]) -> String {
        self.held.extend(part);
        let bytes = std::mem::take(&mut self.held);
        let complete = bytes.len() - incomplete(&bytes);
        self.held = bytes[complete..].to_vec();
        shown(&bytes[..complete])
    }

    /// Returns the rest once nothing follows.
    pub fn finish(&mut self) -> String {
        shown(&std::mem::take(&mut self.held))
    }
}

fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut parts = chunk.valid().split('\r');
        text.push_str(&visible_styled(parts.next().unwrap_or_default()));
        for part in parts {
            text.push('\r');
            text.push_str(&visible_styled(part));
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// Counts the bytes at the end that may become one character or style with the next part.
fn incomplete(bytes: &[u8]) -> usize {
    let end = &bytes[bytes.len().saturating_sub(LONGEST_STYLE)..];
    if let Some(at) = end.iter().rposition(|byte| *byte == 0x1b)
        && end[at + 1..].iter().enumerate().all(|(index, byte)| match index {
            0 => *byte == b'[',
            _ => byte.is_ascii_digit() || matches!(byte, b';' | b':'),
        })
    {
        return end.len() - at;
    }
    let last = end.utf8_chunks().last();
    // A character has at most four bytes, and an invalid byte does not start one.
    last.map_or(0, |chunk| match std::str::from_utf8(chunk.invalid()) {
        Err(error) if error.error_len().is_none() => chunk.invalid().len(),
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_looks_the_same_however_it_is_cut() {
        let log = "caf\u{e9} \x1b[1;31mred\x1b[0m 10 %\r20 %\n\x1b]0;title\x07\x1b[2J 日本 end".as_bytes();
        let mut log = log.to_vec();
        log.extend(b"\xff\xe9 \xe6\x97");
        let expected =
            "caf\u{e9} \x1b[1;31mred\x1b[0m 10 %\r20 %\n\\x1b]0;title\\x07\\x1b[2J 日本 end\\xff\\xe9 \\xe6\\x97";
        for size in [1, 2, 3, 5, 1000] {
            let mut screen = Screen::default();
            let mut text: String = log.chunks(size).map(|part| screen.show(part)).collect();
            text.push_str(&screen.finish());
            assert_eq!(text, expected, "in parts of {size}");
        }
    }
}
