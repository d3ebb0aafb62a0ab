//! The tokenizer covers every text, is the same in every process, and refuses impossible vocabulary sizes.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

use super::merge_learner::MergeLearner;
use super::{SPECIALS, TOKENIZER_TRAIN, WordCounts, library_words_of, tokenizer, words_of};
use crate::grammar::Grammar;
use crate::tests::StepLab;
use crate::tokenize::byte_bpe::byte_char;
use crate::tokenize::{Encoder, Method};
use stepwell_base::artifact::Outputs;
use stepwell_base::rng::Rng;

fn documents() -> Vec<String> {
    let grammar = Grammar::new(5);
    (0..60).map(|index| grammar.document(index)).collect()
}

fn trained(vocab_size: u32) -> (StepLab, Outputs) {
    let lab = StepLab::new();
    let with = json!({"documents": lab.documents(&documents()), "vocab_size": vocab_size});
    let outputs = lab.run(&TOKENIZER_TRAIN, &with).unwrap();
    (lab, outputs)
}

fn load(lab: &StepLab, outputs: &Outputs) -> Tokenizer {
    Tokenizer::from_bytes(lab.artifacts.read(&outputs.artifacts["tokenizer"]).unwrap()).unwrap()
}

#[test]
fn special_tokens_come_first_and_nothing_is_added_to_texts() {
    let (lab, outputs) = trained(500);
    assert_eq!(json!(outputs.values), json!({"vocab_size": 500, "pad": 0, "bos": 1, "eos": 2}));
    let tokenizer = load(&lab, &outputs);
    assert_eq!(tokenizer.get_vocab_size(true), 500);
    let ids = tokenizer.encode("The nurse", true).unwrap().get_ids().to_vec();
    assert!(ids.iter().all(|id| *id > 2), "{ids:?}");
    let json: serde_json::Value =
        serde_json::from_slice(&lab.artifacts.read(&outputs.artifacts["tokenizer"]).unwrap()).unwrap();
    assert_eq!(json["model"]["type"], "BPE");
    assert_eq!(json["pre_tokenizer"]["add_prefix_space"], false);
    assert_eq!(json["post_processor"], serde_json::Value::Null);
    assert_eq!(json["decoder"]["type"], "ByteLevel");
}

#[test]
fn every_text_survives_a_round_trip() {
    let (lab, outputs) = trained(400);
    let tokenizer = load(&lab, &outputs);
    for text in ["The nurse sleeps.", "\u{4e2d}\u{6587} \u{1F600} na\u{ef}ve", "a  b\n\n\tc ", "\u{0}\u{7f}", " x"] {
        let ids = tokenizer.encode_fast(text, false).unwrap().get_ids().to_vec();
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
    }
}

/// Prompts and the exported tokenizer normalise text like the cleaned corpus. The ids stay the same.
#[test]
fn nfkc_is_part_of_the_tokenizer_and_changes_nothing_else() {
    let lab = StepLab::new();
    let raw = ["the \u{fb01}ne x\u{b2} line ".repeat(30)];
    let clean = ["the fine x2 line ".repeat(30)];
    let run = |texts: &[String], nfkc: bool| {
        let with = json!({"documents": lab.documents(texts), "vocab_size": 268, "nfkc": nfkc});
        let outputs = lab.run(&TOKENIZER_TRAIN, &with).unwrap();
        lab.artifacts.read(&outputs.artifacts["tokenizer"]).unwrap()
    };
    let tokenizer = run(&clean, true);
    assert_eq!(run(&raw, true), tokenizer);
    let mut form: serde_json::Value = serde_json::from_slice(&tokenizer).unwrap();
    assert_eq!(form["normalizer"], json!({"type": "NFKC"}));
    form["normalizer"] = json!(null);
    assert_eq!(form, serde_json::from_slice::<serde_json::Value>(&run(&clean, false)).unwrap());
    for method in [Method::Fast, Method::Tokenizers] {
        let encoder = Encoder::load(&tokenizer, method).unwrap();
        assert_eq!(encoder.encode(&[&raw[0]]).unwrap(), encoder.encode(&[&clean[0]]).unwrap());
    }
}

#[test]
fn a_vocabulary_out_of_range_is_refused_with_the_limit() {
    let lab = StepLab::new();
    let documents = lab.documents(&documents());
    let files = lab.published_files();
    let run = |vocab_size: u64| lab.run(&TOKENIZER_TRAIN, &json!({"documents": documents, "vocab_size": vocab_size}));
    let small = run(258).unwrap_err();
    assert_eq!(small.message, "`vocab_size` is 258: the smallest is 259");
    let large = run(32_000).unwrap_err();
    assert!(large.message.starts_with("`vocab_size` is 32000, but the corpus allows at most "), "{large}");
    assert_eq!(lab.published_files(), files);
    let words: Vec<&str> = large.message.split(' ').collect();
    let limit: u64 = words[words.iter().position(|word| *word == "most").unwrap() + 1].parse().unwrap();
    assert!(large.hint.unwrap().contains(&limit.to_string()));
    assert_eq!(run(limit).unwrap().values["vocab_size"], limit);
    assert!(run(limit + 1).is_err());
}

#[test]
fn only_the_first_bytes_are_looked_at() {
    let lab = StepLab::new();
    let (a, b) = ("the same words again and again ".repeat(50), "zyxwv utsrq ponml ".repeat(200));
    let run = |texts: &[&str], max_bytes: usize| {
        let with = json!({"documents": lab.documents(texts), "vocab_size": 262, "max_bytes": max_bytes});
        lab.run(&TOKENIZER_TRAIN, &with).unwrap()
    };
    assert_eq!(run(&[&a, &b], a.len()), run(&[&a], 1 << 20));
    assert_ne!(run(&[&a, &b], 1 << 20), run(&[&a], 1 << 20));
}

#[test]
fn words_are_counted_as_the_library_cuts_and_writes_them() {
    let mut text = documents().join("\n\n ");
    text.extend(('\0'..'\u{3100}').flat_map(|c| [c, ' ', 'a', c]));
    assert_eq!(words_of(&text).unwrap(), library_words_of(&text).unwrap());
    // The library's expression gives up in a run of a million spaces. The words of a corpus must not change there.
    let blank = format!("a{}b c", " ".repeat(1_100_000));
    assert_eq!(words_of(&blank).unwrap(), library_words_of(&blank).unwrap());
}

fn learned(words: &WordCounts, vocab_size: usize, min_frequency: u64) -> String {
    let mut learner = MergeLearner::new(&SPECIALS, words);
    while learner.vocabulary().len() < vocab_size && learner.merge_next(min_frequency) {}
    tokenizer(learner.vocabulary()).unwrap().to_string(false).unwrap()
}

fn learned_by_library(words: &WordCounts, vocab_size: usize, min_frequency: u64) -> String {
    let trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .min_frequency(min_frequency)
        .show_progress(false)
        .special_tokens(SPECIALS.map(|token| AddedToken::from(token, true)).into())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let characters = |word: &str| word.bytes().map(byte_char).collect::<String>();
    let counts = words.iter().map(|(word, count)| (characters(word).into(), *count)).collect();
    let empty = MergeLearner::new(&SPECIALS, &WordCounts::new()).into_vocabulary();
    let mut of_library = tokenizer(&empty).unwrap();
    let mut model = tokenizers::models::bpe::BPE::default();
    trainer.do_train(&counts, &mut model).unwrap();
    of_library.with_model(model);
    of_library.to_string(false).unwrap()
}

/// Makes words of few letters, so that many merges produce an existing token.
fn random_words(rng: &mut Rng) -> WordCounts {
    let letters = ["a", "b", "ab", "\u{e9}", "aba"];
    let mut word = || {
        let length = 1 + rng.below(12);
        let letters: String = (0..length).map(|_| letters[rng.below(5) as usize]).collect();
        (letters.into(), 1 + rng.below(50))
    };
    (0..40).map(|_| word()).collect()
}

#[test]
fn merges_are_those_of_the_library() {
    let words = words_of(&documents().join(" Mais o\u{f9} est-il ? \u{4e2d}\u{6587}aaaaaa ======== \n")).unwrap();
    for (vocab_size, min_frequency) in [(259, 2), (300, 1), (900, 2), (5000, 3)] {
        assert_eq!(learned(&words, vocab_size, min_frequency), learned_by_library(&words, vocab_size, min_frequency));
    }
    let mut rng = Rng::new(11);
    for number in 0..60 {
        let words = random_words(&mut rng);
        assert_eq!(learned(&words, 400, 1), learned_by_library(&words, 400, 1), "{number}");
    }
}

/// Has no counterpart for the library, whose trainer is too slow for a test.
#[test]
fn a_long_word_costs_one_pass_per_merge() {
    let mut rng = Rng::new(4);
    let word: String = (0..500_000).map(|_| ["A", "C", "G", "T"][rng.below(4) as usize]).collect();
    let started = Instant::now();
    learned(&words_of(&word).unwrap(), 290, 2);
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

/// Runs in child processes of the next test.
#[test]
fn digest_in_this_process() {
    let (_, outputs) = trained(900);
    println!("tokenizer {}", outputs.artifacts["tokenizer"].digest);
}

#[test]
fn processes_with_other_hash_seeds_and_thread_counts_give_the_same_bytes() {
    let digest = |threads: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["tokenizer_train::tests::digest_in_this_process", "--exact", "--nocapture"])
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let at = text.find("tokenizer ").unwrap_or_else(|| panic!("{text}")) + "tokenizer ".len();
        text[at..at + 64].to_owned()
    };
    let first = digest("1");
    for threads in ["1", "2", "3", "4"] {
        assert_eq!(digest(threads), first, "{threads} threads");
    }
}
