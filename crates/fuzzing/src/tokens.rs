//! Checks tokenizers, texts as token ids, and token files.

use std::sync::LazyLock;

use serde_json::json;
use tokenizers::Tokenizer;

use super::step::Step;
use stepwell_base::token_file::{HEADER_LEN, Header};
use stepwell_steps::{CORPUS_IMPORT, Encoder, Method, TOKENIZER_TRAIN};

/// Letters, digits, marks and white space from many scripts.
const CORPUS: &str = include_str!("corpus.txt");
const VOCABULARY: u32 = 600;
/// Lengths in bytes up to which a text is repeated. The second exceeds the 64 KiB words that our encoder supports.
const REPEATED: [usize; 2] = [1 << 12, 80 << 10];

/// A tokenizer of ours, loaded by our encoder and by the library.
struct Ours {
    fast: Encoder,
    library: Encoder,
    decoder: Tokenizer,
}

static OURS: LazyLock<Ours> = LazyLock::new(|| {
    let step = Step::new();
    let source = step.write("corpus.txt", CORPUS.as_bytes());
    let documents = step.run(&CORPUS_IMPORT, &json!({ "source": source })).expect("the corpus is fixed and sound");
    let with = json!({ "documents": documents.artifacts["documents"], "vocab_size": VOCABULARY, "min_frequency": 1 });
    let trained = step.run(&TOKENIZER_TRAIN, &with).expect("the corpus is fixed and sound");
    let json = step.read(&trained.artifacts["tokenizer"]);
    let load = |method| Encoder::load(&json, method).expect("a tokenizer of ours");
    let (fast, library) = (load(Method::Fast), load(Method::Tokenizers));
    assert!(fast.not_understood().is_none(), "our encoder knows our own tokenizers");
    Ours { fast, library, decoder: Tokenizer::from_bytes(&json).expect("a tokenizer of ours") }
});

/// Takes the repeat count from the first byte and the text from the rest. The ids must match those of the library
/// and decode to the text.
pub(super) fn encode(data: &[u8]) {
    let Some((times, text)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let longest = REPEATED[usize::from(*times == u8::MAX)];
    let most = longest / text.len().max(1);
    let text = text.repeat(most.clamp(1, 1 + usize::from(*times) * usize::from(*times)));
    let ids = OURS.fast.encode_text(&text).expect("every text has ids");
    assert_eq!(ids, OURS.library.encode_text(&text).expect("every text has ids"), "{text:?}");
    assert_eq!(OURS.decoder.decode(&ids, true).expect("the ids are in the vocabulary"), text);
}

/// Checks a `tokenizer.json`. Where our encoder supports its form, the ids must match those of the library.
pub(super) fn tokenizer(data: &[u8]) {
    let (Ok(fast), Ok(library)) = (Encoder::load(data, Method::Fast), Encoder::load(data, Method::Tokenizers)) else {
        return;
    };
    assert_eq!((fast.bos, fast.eos, fast.vocab), (library.bos, library.eos, library.vocab));
    if fast.not_understood().is_some() {
        return;
    }
    for text in
        ["", "a", "the theme of the thesis", "it's 1,234.5 \u{20ac}", "  \n\n x\u{301} \u{4e2d}\u{6587} <bos>", CORPUS]
    {
        let expected = library.encode_text(text).map_err(|failure| failure.message);
        assert_eq!(fast.encode_text(text).map_err(|failure| failure.message), expected, "{text:?}");
    }
}

/// Checks a token file. Its header fits its bytes, and the file is written back unchanged.
pub(super) fn token_file(data: &[u8]) {
    if let Ok(header) = Header::decode(data) {
        let tokens = usize::try_from(header.tokens).expect("the file has them") * header.width.bytes();
        assert_eq!(header.tokens_at() + tokens, data.len());
        let mut again = header.encode().to_vec();
        again.extend_from_slice(&data[HEADER_LEN..]);
        assert_eq!(Header::decode(&again), Ok(header));
    }
    #[cfg(feature = "train")]
    super::trained::shard(data);
}
