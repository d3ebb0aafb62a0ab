//! The tokenizer covers every text, is the same in every process, and says when it is asked for too much.

use std::process::Command;

use serde_json::json;
use tokenizers::Tokenizer;

use super::{TOKENIZER_TRAIN, library_words_of, words_of};
use crate::core::artifact::Outputs;
use crate::steps::grammar::Grammar;
use crate::steps::tests::bench::Bench;

fn documents() -> Vec<String> {
    let grammar = Grammar::new(5);
    (0..60).map(|index| grammar.document(index)).collect()
}

fn trained(vocab_size: u32) -> (Bench, Outputs) {
    let bench = Bench::new();
    let with = json!({"documents": bench.documents(&documents()), "vocab_size": vocab_size});
    let outputs = bench.run(&TOKENIZER_TRAIN, &with).unwrap();
    (bench, outputs)
}

fn load(bench: &Bench, outputs: &Outputs) -> Tokenizer {
    Tokenizer::from_bytes(bench.artifacts.read(&outputs.artifacts["tokenizer"]).unwrap()).unwrap()
}

#[test]
fn special_tokens_come_first_and_nothing_is_added_to_texts() {
    let (bench, outputs) = trained(500);
    assert_eq!(json!(outputs.values), json!({"vocab_size": 500, "pad": 0, "bos": 1, "eos": 2}));
    let tokenizer = load(&bench, &outputs);
    assert_eq!(tokenizer.get_vocab_size(true), 500);
    let ids = tokenizer.encode("The nurse", true).unwrap().get_ids().to_vec();
    assert!(ids.iter().all(|id| *id > 2), "{ids:?}");
    let json: serde_json::Value =
        serde_json::from_slice(&bench.artifacts.read(&outputs.artifacts["tokenizer"]).unwrap()).unwrap();
    assert_eq!(json["model"]["type"], "BPE");
    assert_eq!(json["pre_tokenizer"]["add_prefix_space"], false);
    assert_eq!(json["post_processor"], serde_json::Value::Null);
    assert_eq!(json["decoder"]["type"], "ByteLevel");
}

#[test]
fn every_text_survives_a_round_trip() {
    let (bench, outputs) = trained(400);
    let tokenizer = load(&bench, &outputs);
    for text in ["The nurse sleeps.", "\u{4e2d}\u{6587} \u{1F600} na\u{ef}ve", "a  b\n\n\tc ", "\u{0}\u{7f}", " x"] {
        let ids = tokenizer.encode_fast(text, false).unwrap().get_ids().to_vec();
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
    }
}

#[test]
fn a_vocabulary_out_of_range_is_refused_with_the_limit() {
    let bench = Bench::new();
    let documents = bench.documents(&documents());
    let files = bench.published_files();
    let run = |vocab_size: u64| bench.run(&TOKENIZER_TRAIN, &json!({"documents": documents, "vocab_size": vocab_size}));
    let small = run(258).unwrap_err();
    assert_eq!(small.message, "`vocab_size` is 258: the smallest is 259");
    let large = run(32_000).unwrap_err();
    assert!(large.message.starts_with("`vocab_size` is 32000, but the corpus allows at most "), "{large}");
    assert_eq!(bench.published_files(), files);
    let words: Vec<&str> = large.message.split(' ').collect();
    let limit: u64 = words[words.iter().position(|word| *word == "most").unwrap() + 1].parse().unwrap();
    assert!(large.hint.unwrap().contains(&limit.to_string()));
    assert_eq!(run(limit).unwrap().values["vocab_size"], limit);
    assert!(run(limit + 1).is_err());
}

#[test]
fn only_the_first_bytes_are_looked_at() {
    let bench = Bench::new();
    let (a, b) = ("the same words again and again ".repeat(50), "zyxwv utsrq ponml ".repeat(200));
    let run = |texts: &[&str], max_bytes: usize| {
        let with = json!({"documents": bench.documents(texts), "vocab_size": 262, "max_bytes": max_bytes});
        bench.run(&TOKENIZER_TRAIN, &with).unwrap()
    };
    assert_eq!(run(&[&a, &b], a.len()), run(&[&a], 1 << 20));
    assert_ne!(run(&[&a, &b], 1 << 20), run(&[&a], 1 << 20));
}

#[test]
fn words_are_counted_as_the_library_cuts_and_writes_them() {
    let mut text = documents().join("\n\n ");
    text.extend(('\0'..'\u{3100}').flat_map(|c| [c, ' ', 'a', c]));
    assert_eq!(words_of(&text).unwrap(), library_words_of(&text).unwrap());
    // In a run of a million the library's expression gives up; a corpus keeps the words that it had.
    let blank = format!("a{}b c", " ".repeat(1_100_000));
    assert_eq!(words_of(&blank).unwrap(), library_words_of(&blank).unwrap());
}

/// Not a test of its own: the next one runs it in processes of their own.
#[test]
fn digest_in_this_process() {
    let (_, outputs) = trained(900);
    println!("tokenizer {}", outputs.artifacts["tokenizer"].digest);
}

#[test]
fn processes_with_other_hash_seeds_and_thread_counts_give_the_same_bytes() {
    let digest = |threads: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["steps::tokenizer_train::tests::digest_in_this_process", "--exact", "--nocapture"])
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
