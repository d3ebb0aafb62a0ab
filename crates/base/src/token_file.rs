//! Format of a token file: a 64-byte header, the end offset of every document, the token ids, and in version 2 which of
//! them are learned.
//!
//! ```text
//! 0   magic     b"SWTOKENS"
//! 8   version   u32 = 1, or 2 with a mask
//! 12  width     u32 = 2 (u16) or 4 (u32)
//! 16  documents u64
//! 24  tokens    u64
//! 32  text_bytes u64, UTF-8 bytes of the text that the learned tokens encode
//! 40  bos       u32
//! 44  eos       u32
//! 48  vocab     u32, size of the tokenizer's vocabulary
//! 52  unit      u32 = 0, 1 with documents in pairs, 2 with documents that have a label
//! 56  zero
//! 64  documents x u64   end of each document, in tokens from the start of the file's tokens
//! ..  tokens x width    ids, little-endian
//! ..  version 2: tokens / 8 bytes, rounded up: bit `t % 8` of byte `t / 8` is 1 when token `t` is learned
//! ```
//! Each document of version 1 is stored as `BOS text EOS`, and all of it is learned. A document of version 2 is what its
//! step made of an example: the prompt is not learned. In pairs, documents are a chosen and a rejected answer in turn. With
//! labels, the bit of a document's first token, which no token before it predicts, is 1 if its answer is desirable. All integers are little-endian.

pub const MAGIC: &[u8; 8] = b"SWTOKENS";
pub const HEADER_LEN: usize = 64;
pub const MEDIA_TYPE: &str = "application/vnd.stepwell.tokens";

/// Bytes of one token id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    U16,
    U32,
}

impl Width {
    /// The narrowest width for ids below `vocab_size`.
    pub fn for_vocab(vocab_size: u32) -> Width {
        if vocab_size <= 1 << 16 { Width::U16 } else { Width::U32 }
    }

    pub fn bytes(self) -> usize {
        match self {
            Width::U16 => 2,
            Width::U32 => 4,
        }
    }
}

/// Unit of an example.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Unit {
    /// A document.
    #[default]
    Document,
    /// Two documents: a chosen answer and a rejected one.
    Pair,
    /// A document with a label.
    Labelled,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    pub width: Width,
    pub documents: u64,
    pub tokens: u64,
    pub text_bytes: u64,
    pub bos: u32,
    pub eos: u32,
    pub vocab: u32,
    /// A mask behind the ids tells which tokens are learned.
    pub masked: bool,
    pub unit: Unit,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFileError {
    #[error("not a token file: the first 8 bytes are not `SWTOKENS`")]
    Magic,
    #[error("token file version {0} is not supported: this build reads versions 1 and 2")]
    Version(u32),
    #[error("token width {0} is neither 2 nor 4 bytes")]
    Width(u32),
    #[error("token file has examples of an unknown kind, {0}")]
    Unit(u32),
    #[error("token file has {0} documents, which are no pairs")]
    HalfPair(u64),
    #[error("token file has {actual} bytes, its header asks for {expected}")]
    Length { expected: u64, actual: u64 },
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0u8; HEADER_LEN];
        out[0..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&(1 + u32::from(self.masked)).to_le_bytes());
        out[12..16].copy_from_slice(&(self.width.bytes() as u32).to_le_bytes());
        out[16..24].copy_from_slice(&self.documents.to_le_bytes());
        out[24..32].copy_from_slice(&self.tokens.to_le_bytes());
        out[32..40].copy_from_slice(&self.text_bytes.to_le_bytes());
        out[40..44].copy_from_slice(&self.bos.to_le_bytes());
        out[44..48].copy_from_slice(&self.eos.to_le_bytes());
        out[48..52].copy_from_slice(&self.vocab.to_le_bytes());
        let unit: u32 = match self.unit {
            Unit::Document => 0,
            Unit::Pair => 1,
            Unit::Labelled => 2,
        };
        out[52..56].copy_from_slice(&unit.to_le_bytes());
        out
    }

    /// Reads the header of a whole file and checks the file's length against it.
    ///
    /// # Errors
    /// When the bytes are not a complete token file of a known version.
    pub fn decode(file: &[u8]) -> Result<Header, TokenFileError> {
        if file.len() < HEADER_LEN || &file[0..8] != MAGIC {
            return Err(TokenFileError::Magic);
        }
        let word = |at: usize| u32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let masked = match word(8) {
            1 => false,
            2 => true,
            other => return Err(TokenFileError::Version(other)),
        };
        let width = match word(12) {
            2 => Width::U16,
            4 => Width::U32,
            other => return Err(TokenFileError::Width(other)),
        };
        let header = Header {
            width,
            documents: long(16),
            tokens: long(24),
            text_bytes: long(32),
            bos: word(40),
            eos: word(44),
            vocab: word(48),
            masked,
            unit: match word(52) {
                0 => Unit::Document,
                1 => Unit::Pair,
                2 => Unit::Labelled,
                other => return Err(TokenFileError::Unit(other)),
            },
        };
        if header.unit == Unit::Pair && !header.documents.is_multiple_of(2) {
            return Err(TokenFileError::HalfPair(header.documents));
        }
        let expected = header.file_len();
        if expected != file.len() as u128 {
            let expected = u64::try_from(expected).unwrap_or(u64::MAX);
            return Err(TokenFileError::Length { expected, actual: file.len() as u64 });
        }
        Ok(header)
    }

    /// Byte offset of the token ids.
    pub fn tokens_at(&self) -> usize {
        HEADER_LEN + self.documents as usize * 8
    }

    /// Byte offset of the mask, which lies behind the ids.
    pub fn mask_at(&self) -> usize {
        self.tokens_at() + self.tokens as usize * self.width.bytes()
    }

    fn file_len(&self) -> u128 {
        let mask = if self.masked { u128::from(self.tokens).div_ceil(8) } else { 0 };
        HEADER_LEN as u128
            + u128::from(self.documents) * 8
            + u128::from(self.tokens) * self.width.bytes() as u128
            + mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trips_and_rejects_a_wrong_length() {
        for (masked, mask_bytes) in [(false, 0), (true, 2)] {
            let header = Header {
                width: Width::U16,
                documents: 2,
                tokens: 9,
                text_bytes: 9,
                bos: 0,
                eos: 1,
                vocab: 300,
                masked,
                unit: if masked { Unit::Pair } else { Unit::Document },
            };
            let mut file = header.encode().to_vec();
            file.extend_from_slice(&[0; 2 * 8 + 9 * 2]);
            assert_eq!(header.mask_at(), file.len());
            file.resize(file.len() + mask_bytes, 0);
            assert_eq!(Header::decode(&file), Ok(header));
            file.pop();
            assert!(matches!(Header::decode(&file), Err(TokenFileError::Length { .. })));
            file[52] = 9;
            assert_eq!(Header::decode(&file), Err(TokenFileError::Unit(9)));
        }
    }
}
