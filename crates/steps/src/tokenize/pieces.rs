//! Cuts long texts where a byte-level BPE tokenizer always cuts, so that the pieces can be encoded in parallel and
//! give the same ids as the whole text.

/// Bytes after which a piece ends at the next safe place.
pub const PIECE_BYTES: usize = 1 << 16;

/// Iterates over a text in pieces of about `PIECE_BYTES`.
pub fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = split_piece(rest, PIECE_BYTES);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Returns the first piece and the rest.
pub fn split_piece(text: &str, piece_bytes: usize) -> (&str, &str) {
    text.split_at(safe_cut(text, piece_bytes).unwrap_or(text.len()))
}

/// First place at or after `from` where GPT-2's expression starts a new word regardless of the surrounding text:
/// before a space, or after a line break, that stands alone between two visible characters.
fn safe_cut(text: &str, from: usize) -> Option<usize> {
    let from = text.ceil_char_boundary(from.max(1));
    let mut before = text.get(..from)?.chars().next_back()?;
    let mut chars = text[from..].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let alone = !before.is_whitespace() && chars.peek().is_some_and(|(_, next)| !next.is_whitespace());
        match c {
            ' ' if alone => return Some(from + at),
            '\n' if alone => return Some(from + at + 1),
            _ => before = c,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_put_together_are_the_text_and_cuts_are_safe() {
        let text = "one two  three\nfour\n\nfive \u{e9}\u{4e2d} six\n seven";
        for size in 1..text.len() + 2 {
            let mut parts = Vec::new();
            let mut rest = text;
            while !rest.is_empty() {
                let (piece, after) = split_piece(rest, size);
                parts.push(piece);
                rest = after;
            }
            assert_eq!(parts.concat(), text);
            for pair in parts.windows(2) {
                assert!(pair[1].starts_with(' ') || pair[0].ends_with('\n'), "{pair:?}");
                assert!(
                    !pair[0].ends_with("  ") && !pair[0].ends_with("\n\n") && !pair[1].starts_with("  "),
                    "{pair:?}"
                );
            }
        }
    }
}
