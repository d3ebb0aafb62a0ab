//! How a vocabulary spells the bytes of its tokens.

use tokenizers::Tokenizer as Library;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spelling {
    /// In GPT-2's alphabet: each character is one byte.
    Bytes,
    /// `\u{2581}` stands for a space and `<0x0A>` for a byte.
    SentencePiece,
}

impl Spelling {
    pub fn of(library: &Library) -> Spelling {
        let has = |piece: &str| library.token_to_id(piece).is_some();
        if has("\u{2581}") || has("<0x0A>") { Spelling::SentencePiece } else { Spelling::Bytes }
    }

    pub fn bytes(self, piece: &str) -> Vec<u8> {
        match self {
            Spelling::Bytes => {
                let bytes: Option<Vec<u8>> = piece.chars().map(byte_of).collect();
                bytes.unwrap_or_else(|| piece.as_bytes().to_vec())
            }
            Spelling::SentencePiece => match byte_piece(piece) {
                Some(byte) => vec![byte],
                None => piece.replace('\u{2581}', " ").into_bytes(),
            },
        }
    }
}

fn byte_piece(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>').filter(|digits| digits.len() == 2)?;
    u8::from_str_radix(digits, 16).ok()
}

/// The byte that a character of GPT-2's alphabet stands for: printable Latin-1 stands for itself, the other bytes
/// follow from U+0100 in their order.
fn byte_of(character: char) -> Option<u8> {
    let printable = |byte: &u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    match u32::from(character) {
        code @ 0..=0xff => u8::try_from(code).ok().filter(printable),
        code => (0..=255_u8).filter(|byte| !printable(byte)).nth((code - 0x100) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_stand_for_bytes() {
        assert_eq!(Spelling::Bytes.bytes("\u{120}the\u{10a}"), b" the\n");
        assert_eq!(Spelling::Bytes.bytes("\u{c3}\u{a9}"), "\u{e9}".as_bytes());
        assert_eq!(Spelling::Bytes.bytes("\u{143}"), [0xad]);
        assert_eq!(Spelling::SentencePiece.bytes("\u{2581}the"), b" the");
        assert_eq!(Spelling::SentencePiece.bytes("<0x0A>"), b"\n");
    }
}
