//! Tokenizer that also decodes, for the steps that use a trained model.

use tokenizers::Tokenizer;

use super::tokenize::{Encoder, Method, load_tokenizer};
use super::tokenizer_train::{BOS, EOS, PAD};
use stepwell_base::failure::Failure;
use stepwell_train::model::hf_config::SpecialTokens;

/// Converts text to token ids and back.
pub struct TextCodec {
    encoder: Encoder,
    tokenizer: Tokenizer,
    pub special: SpecialTokens,
}

impl TextCodec {
    /// # Errors
    /// When the bytes are no tokenizer, or a special token is missing.
    pub fn load(json: &[u8]) -> Result<Self, Failure> {
        let tokenizer = load_tokenizer(json)?;
        let unusable = |why: String| {
            Failure::fatal(format!("the tokenizer {why}"))
                .with_hint("`tokenizer` must be the output of `tokenizer.train`")
        };
        let id = |token: &str| tokenizer.token_to_id(token).ok_or_else(|| unusable(format!("has no token `{token}`")));
        let special = SpecialTokens { bos_token_id: id(BOS)?, eos_token_id: id(EOS)?, pad_token_id: id(PAD)? };
        TextCodec::with_special(json, special)
    }

    /// Loads the tokenizer of a model from elsewhere, which has special tokens of its own.
    ///
    /// # Errors
    /// When the bytes are no tokenizer.
    pub fn with_special(json: &[u8], special: SpecialTokens) -> Result<Self, Failure> {
        // Prompts are short: the library's encoder is quick enough, and our own would first need a check against it.
        let encoder = Encoder::between(json, Method::Tokenizers, (special.bos_token_id, special.eos_token_id))?;
        Ok(TextCodec { encoder, tokenizer: load_tokenizer(json)?, special })
    }

    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Number of tokens in the vocabulary.
    pub fn vocab(&self) -> u32 {
        self.encoder.vocab
    }

    /// Encodes each text, without special tokens.
    pub fn encode(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, Failure> {
        self.encoder.encode(texts)
    }

    /// UTF-8 bytes of the text that each token stands for, by id; special tokens stand for none.
    pub fn token_bytes(&self) -> Vec<u64> {
        let special: Vec<u32> =
            [self.special.bos_token_id, self.special.eos_token_id, self.special.pad_token_id].into();
        // SentencePiece has a token for a space or for each byte, under names of its own.
        let has = |piece: &str| self.tokenizer.token_to_id(piece).is_some();
        let spelling = if has("\u{2581}") || has("<0x0A>") { Spelling::SentencePiece } else { Spelling::Bytes };
        let bytes = |id: u32| match self.tokenizer.id_to_token(id) {
            Some(piece) if !special.contains(&id) => spelling.bytes(&piece),
            _ => 0,
        };
        (0..self.vocab()).map(bytes).collect()
    }

    /// Decodes token ids, and leaves out special tokens.
    ///
    /// # Errors
    /// When an id is not in the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<String, Failure> {
        self.tokenizer
            .decode(ids, true)
            .map_err(|error| Failure::fatal(format!("the tokenizer cannot decode token ids: {error}")))
    }
}

/// How a vocabulary spells the text of its tokens.
#[derive(Clone, Copy)]
enum Spelling {
    /// In GPT-2's alphabet: each character is one byte.
    Bytes,
    /// `\u{2581}` stands for a space and `<0x0A>` for a byte.
    SentencePiece,
}

impl Spelling {
    fn bytes(self, piece: &str) -> u64 {
        let byte = || piece.strip_prefix("<0x")?.strip_suffix('>').filter(|digits| digits.len() == 2);
        match self {
            Spelling::Bytes => piece.chars().count() as u64,
            Spelling::SentencePiece if byte().is_some() => 1,
            Spelling::SentencePiece => piece.replace('\u{2581}', " ").len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::TrainingLab;

    #[test]
    fn tokens_have_the_bytes_of_their_text() {
        let lab = TrainingLab::new();
        let codec = TextCodec::load(&lab.artifacts.read(&lab.tokenizer).unwrap()).unwrap();
        let bytes = codec.token_bytes();
        assert_eq!(bytes.len(), codec.vocab() as usize);
        for text in ["The teacher sees the cat.", "caf\u{e9} \u{1f600}\n\t2 x", ""] {
            let ids = codec.encode(&[text]).unwrap().remove(0);
            let sum: u64 = ids.iter().map(|id| bytes[*id as usize]).sum();
            assert_eq!(sum, text.len() as u64, "{text:?}");
        }
        assert_eq!(bytes[codec.special.eos_token_id as usize], 0);
        for (piece, expected) in [("\u{2581}the", 4), ("<0x0A>", 1), ("\u{e9}", 2)] {
            assert_eq!(Spelling::SentencePiece.bytes(piece), expected, "{piece}");
        }
    }
}
