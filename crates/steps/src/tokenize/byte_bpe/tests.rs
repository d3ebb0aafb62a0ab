//! Compares our encoder with `tokenizers`: words by its expression, ids by its merges.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer};
use unicode_normalization::{UnicodeNormalization, is_nfkc};

use super::ByteBpe;
use super::words::Words;
use crate::grammar::Grammar;
use crate::tests::StepLab;
use crate::tokenizer_train::TOKENIZER_TRAIN;

fn words(text: &str) -> Vec<&str> {
    Words::new(text).collect()
}

fn expected_words(text: &str) -> Vec<&str> {
    let mut split = PreTokenizedString::from(text);
    ByteLevel::new(false, true, true).pre_tokenize(&mut split).unwrap();
    let splits = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
    splits.into_iter().map(|(_, (start, end), _)| &text[start..end]).collect()
}

/// One tokenizer in both implementations.
struct Pair {
    ours: ByteBpe,
    theirs: Tokenizer,
}

impl Pair {
    fn new(json: &[u8]) -> Pair {
        let mut theirs = Tokenizer::from_bytes(json).unwrap();
        theirs.set_encode_special_tokens(true);
        Pair { ours: ByteBpe::load(json).unwrap(), theirs }
    }

    fn expected(&self, text: &str) -> Vec<u32> {
        self.theirs.encode_fast(text, false).unwrap().get_ids().to_vec()
    }
}

/// A tokenizer that `tokenizer.train` learnt from grammar documents and a text in other scripts.
static TRAINED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let grammar = Grammar::new(3);
    let mut texts: Vec<String> = (0..60).map(|index| grammar.document(index)).collect();
    texts.push("Mais o\u{f9} est-il ? \u{422}\u{430}\u{43c}  \u{4e2d}\u{6587} 123 456\n\n\tI'll don't ".repeat(40));
    let lab = StepLab::new();
    let with = json!({"documents": lab.documents(&texts), "vocab_size": 700});
    let outputs = lab.run(&TOKENIZER_TRAIN, &with).unwrap();
    lab.artifacts.read(&outputs.artifacts["tokenizer"]).unwrap()
});

/// Makes a tokenizer with the given merges of bytes and earlier merges. It leaves out a merge that names a pair
/// twice, but keeps one that produces the text of another token.
fn with_merges(choices: &[(usize, usize)]) -> Vec<u8> {
    const LETTERS: [&str; 3] = ["a", "b", "\u{120}"];
    let mut form: Value = serde_json::from_slice(&TRAINED).unwrap();
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let specials = ["<pad>", "<bos>", "<eos>"].map(str::to_owned);
    let mut vocab: Vec<String> = specials.into_iter().chain(alphabet.iter().map(char::to_string)).collect();
    let mut tokens: Vec<String> = LETTERS.map(str::to_owned).into();
    let mut merges: Vec<(String, String)> = Vec::new();
    for (left, right) in choices {
        let merge = (tokens[left % tokens.len()].clone(), tokens[right % tokens.len()].clone());
        let merged = format!("{}{}", merge.0, merge.1);
        if merges.contains(&merge) {
            continue;
        }
        merges.push(merge);
        if !vocab.contains(&merged) {
            vocab.push(merged.clone());
            tokens.push(merged);
        }
    }
    form["model"]["vocab"] = vocab.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
    form["model"]["merges"] = json!(merges);
    serde_json::to_vec(&form).unwrap()
}

/// Texts in which all parts of the expression occur next to each other.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[ \t\n\u{a0}\u{3000}]{1,3}",
        3 => "'(s|t|re|ve|m|ll|d|S|r|v|l|x|)",
        4 => "[a-zA-Z]{1,5}",
        2 => "[\u{e0}-\u{ff}\u{410}-\u{450}\u{4e00}-\u{4e20}]{1,4}",
        2 => "[0-9\u{b2}\u{660}-\u{669}\u{2160}]{1,3}",
        2 => "[!-/:-@_\u{300}\u{200d}\u{1F600}-\u{1F610}]{1,3}",
        1 => "\\PC{1,3}",
        1 => proptest::char::any().prop_map(String::from),
    ];
    proptest::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

#[test]
fn every_character_is_cut_like_the_expression_cuts_it() {
    let characters: Vec<char> = ('\0'..=char::MAX).collect();
    for some in characters.chunks(1 << 14) {
        let text: String = some.iter().flat_map(|c| ['x', *c, '1', ' ', *c, '\n']).collect();
        assert_eq!(words(&text), expected_words(&text));
    }
}

#[test]
fn words_end_where_the_expression_says() {
    for (text, expected) in [
        ("I'll don't 'S", vec!["I", "'ll", " don", "'t", " '", "S"]),
        ("a  b\n\nc \n", vec!["a", " ", " b", "\n", "\n", "c", " \n"]),
        ("x ...'s 12\u{b2}", vec!["x", " ...'", "s", " 12\u{b2}"]),
        ("\u{a0}a \u{a0}b", vec!["\u{a0}", "a", " ", "\u{a0}", "b"]),
    ] {
        assert_eq!(words(text), expected);
        assert_eq!(expected_words(text), expected);
    }
}

#[test]
fn documents_have_the_ids_of_the_library() {
    let pair = Pair::new(&TRAINED);
    let grammar = Grammar::new(4);
    for text in (0..20).map(|index| grammar.document(index)) {
        assert_eq!(pair.ours.encode(&text).unwrap(), pair.expected(&text));
    }
}

#[test]
fn a_full_memory_and_a_used_one_do_not_show() {
    let pair = Pair::new(&TRAINED);
    let text: String = (0..super::encoder::KNOWN_WORDS + 2000).map(|number| format!("{number:x} ")).collect();
    let expected = pair.expected(&text);
    for _ in 0..2 {
        assert!(pair.ours.encode(&text).unwrap() == expected);
    }
}

#[test]
fn long_words_are_right_and_only_blank_ones_are_left_to_the_library() {
    let pair = Pair::new(&TRAINED);
    for word in ["the", "\u{4e2d}", "=-", "0", "\u{1f600}", "I'", "  "] {
        let short = format!("a {} b", word.repeat(20_000 / word.len()));
        assert_eq!(pair.ours.encode(&short).unwrap(), pair.expected(&short), "{word:?}");
        let long = word.repeat(70_000 / word.len());
        let blank = word == "  ";
        assert_eq!(pair.ours.encode(&long), (!blank).then(|| pair.expected(&long)), "{word:?}");
    }
}

#[test]
fn a_word_of_megabytes_takes_no_quadratic_time_and_gives_its_memory_back() {
    let ours = ByteBpe::load(&TRAINED).unwrap();
    let started = Instant::now();
    let ids = ours.encode(&"the".repeat(1 << 20)).unwrap();
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    assert!(ids.len() > 1 << 19 && ids.len() <= 3 << 20);
    assert!(ours.kept_memory() < 4 << 20, "{}", ours.kept_memory());
}

#[test]
fn special_tokens_in_a_text_are_text() {
    let pair = Pair::new(&TRAINED);
    let ids = pair.ours.encode("<bos> <eos><pad>").unwrap();
    assert!(ids.iter().all(|id| *id > 2), "{ids:?}");
    assert_eq!(ids, pair.expected("<bos> <eos><pad>"));
}

static WITH_NFKC: LazyLock<Pair> = LazyLock::new(|| {
    let mut form: Value = serde_json::from_slice(&TRAINED).unwrap();
    form["normalizer"] = json!({"type": "NFKC"});
    Pair::new(form.to_string().as_bytes())
});

/// Our Unicode tables are newer than the library's. Text that ours consider normalised must be normalised for the
/// library too.
#[test]
fn text_in_nfkc_is_encoded_and_other_text_is_left_to_the_library() {
    let normalised: String =
        ('\0'..=char::MAX).filter(|c| is_nfkc(c.encode_utf8(&mut [0; 4]))).flat_map(|c| [c, ' ']).collect();
    for text in [normalised.as_str(), "plain \u{e9} \u{1f600}", "\u{ac00} \u{915}\u{93c}"] {
        let ids = WITH_NFKC.ours.encode(text).unwrap();
        assert!(ids == WITH_NFKC.expected(text));
        assert!(ids == Pair::new(&TRAINED).expected(text), "normalising again changes nothing");
    }
    for text in ["x\u{b2}", "e\u{301}", "\u{fb01}ne", "a\u{a0}b"] {
        assert_eq!(WITH_NFKC.ours.encode(text), None);
        let normal: String = text.nfkc().collect();
        assert_eq!(WITH_NFKC.expected(text), WITH_NFKC.ours.encode(&normal).unwrap());
    }
}

/// Allows pieces to be cut before normalisation: no character adds white space to the end of a piece.
#[test]
fn a_character_that_is_not_white_space_does_not_end_in_any_when_normalised() {
    for c in ('\0'..=char::MAX).filter(|c| !c.is_whitespace()) {
        let normal: String = c.nfkc().collect();
        assert!(!normal.ends_with(char::is_whitespace), "{c:?}");
    }
}

#[test]
fn what_could_change_the_ids_is_not_understood() {
    let form: Value = serde_json::from_slice(&TRAINED).unwrap();
    let changes = [
        ("/version", json!("2.0"), "another version"),
        ("/truncation", json!({"max_length": 1}), "truncation"),
        ("/padding", json!({"pad_id": 1}), "padding"),
        ("/added_tokens/0/special", json!(false), "added tokens"),
        ("/normalizer", json!({"type": "NFC"}), "another normalizer"),
        ("/normalizer", json!({"type": "Sequence", "normalizers": [{"type": "NFKC"}]}), "another normalizer"),
        ("/pre_tokenizer/type", json!("Split"), "another pre-tokenizer"),
        ("/pre_tokenizer/use_regex", json!(false), "another pre-tokenizer"),
        ("/pre_tokenizer/add_prefix_space", json!(true), "a prefix space"),
        ("/pre_tokenizer", json!({"type": "Sequence", "pretokenizers": []}), "its form is another"),
        ("/pre_tokenizer", json!(null), "its form is another"),
        ("/post_processor", json!({"type": "ByteLevel"}), "a post-processor"),
        ("/model/type", json!("Unigram"), "another model"),
        ("/model/dropout", json!(0.5), "dropout"),
        ("/model/unk_token", json!("<unk>"), "an unknown token"),
        ("/model/continuing_subword_prefix", json!("##"), "a prefix inside words"),
        ("/model/end_of_word_suffix", json!("</w>"), "a suffix"),
        ("/model/byte_fallback", json!(true), "byte fallback"),
        ("/model/ignore_merges", json!(true), "words that ignore merges"),
        ("/model/vocab/a", json!(5), "two tokens one id"),
        ("/model/merges/1", form["model"]["merges"][0].clone(), "a pair twice"),
        ("/model/merges/1", json!(["z", "q\u{120}zq"]), "no token `"),
        ("/model/merges", json!(["a b"]), "its form is another"),
    ];
    for (path, value, expected) in changes {
        let mut changed = form.clone();
        *changed.pointer_mut(path).unwrap() = value;
        let error = ByteBpe::load(changed.to_string().as_bytes()).err().expect(path).to_string();
        assert!(error.contains(expected), "{path}: {error}");
    }
    let mut changed = form.clone();
    changed["model"]["new_in_the_next_release"] = json!(true);
    assert!(ByteBpe::load(changed.to_string().as_bytes()).is_err());
    let mut changed = form.clone();
    changed["model"]["vocab"].as_object_mut().unwrap().remove("!");
    changed["model"]["merges"] = json!([]);
    assert!(ByteBpe::load(changed.to_string().as_bytes()).err().unwrap().to_string().contains("no token `!`"));
    assert!(ByteBpe::load(form.to_string().as_bytes()).is_ok());
}

proptest! {
    #[test]
    fn words_are_those_of_the_expression(text in text()) {
        prop_assert_eq!(words(&text), expected_words(&text));
    }

    #[test]
    fn ids_are_those_of_the_library(texts in proptest::collection::vec(text(), 1..8)) {
        static PAIR: LazyLock<Pair> = LazyLock::new(|| Pair::new(&TRAINED));
        for text in texts {
            prop_assert_eq!(PAIR.ours.encode(&text).unwrap(), PAIR.expected(&text));
        }
    }

    #[test]
    fn normalised_text_has_the_ids_of_the_library(text in "[a-c\u{300}-\u{345}\u{e0}-\u{e9}\u{1100}-\u{1175}\u{1161} ]{0,12}|\\PC{0,12}") {
        let normal: String = text.nfkc().collect();
        prop_assert_eq!(WITH_NFKC.ours.encode(&normal).unwrap(), WITH_NFKC.expected(&normal));
    }

    /// Merges in any order; some produce the text of another token or can never happen.
    #[test]
    fn any_merges_give_the_ids_of_the_library(
        choices in proptest::collection::vec((0usize..12, 0usize..12), 0..30),
        texts in proptest::collection::vec("( ?[ab]{1,12}){0,4}", 1..8),
    ) {
        let pair = Pair::new(&with_merges(&choices));
        for text in texts {
            prop_assert_eq!(pair.ours.encode(&text).unwrap(), pair.expected(&text));
        }
    }
}
