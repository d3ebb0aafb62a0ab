//! The token file is correct, and the same after any interruption.

use std::cell::Cell;
use std::time::Duration;

use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::handler::{Pace, run_with, write_shard};
use super::{Encoder, Method, TOKENIZE};
use crate::StepError;
use crate::corpus_documents::document_files;
use crate::grammar::Grammar;
use crate::tests::{Recorder, StepLab};
use crate::tokenizer_train::TOKENIZER_TRAIN;
use stepwell_base::artifact::Outputs;
use stepwell_base::rng::{Rng, derive_seed};
use stepwell_base::token_file::{Header, Width};

/// Grammar documents, an empty one, one that spells special tokens, and one much longer than a batch.
fn texts() -> Vec<String> {
    let grammar = Grammar::new(7);
    let mut texts: Vec<String> = (0..40).map(|index| grammar.document(index)).collect();
    texts.insert(5, String::new());
    texts.insert(9, "<bos> and <eos>, \u{4e2d}\u{6587}".to_owned());
    texts.insert(20, texts[..20].join("\n").repeat(3));
    texts
}

fn lab() -> (StepLab, Value) {
    let lab = StepLab::new();
    let documents = lab.documents(&texts());
    let tokenizer = lab.run(&TOKENIZER_TRAIN, &json!({"documents": documents, "vocab_size": 600})).unwrap();
    let with = json!({"documents": documents, "tokenizer": tokenizer.artifacts["tokenizer"]});
    (lab, with)
}

const SMALL: Pace =
    Pace { batch_bytes: 1500, piece_bytes: 400, checkpoint_documents: 3, checkpoint_time: Duration::from_secs(600) };

fn attempt(lab: &StepLab, with: &Value, recorder: &mut Recorder) -> Result<Outputs, StepError> {
    lab.attempt(with, recorder, |context| run_with(context, SMALL))
}

fn ids(file: &[u8], header: &Header) -> Vec<u32> {
    let width = header.width.bytes();
    file[header.tokens_at()..]
        .chunks(width)
        .map(|bytes| bytes.iter().rev().fold(0, |id, byte| id << 8 | u32::from(*byte)))
        .collect()
}

#[test]
fn the_file_holds_every_document_between_bos_and_eos() {
    let (lab, with) = lab();
    let outputs = lab.run(&TOKENIZE, &with).unwrap();
    let file = lab.artifacts.read(&outputs.artifacts["tokens"]).unwrap();
    let header = Header::decode(&file).unwrap();
    let texts = texts();
    assert_eq!(header.width, Width::U16);
    assert_eq!((header.bos, header.eos, header.vocab), (1, 2, 600));
    assert_eq!(header.documents, texts.len() as u64);
    assert_eq!(header.text_bytes, texts.iter().map(|text| text.len() as u64).sum::<u64>());
    assert_eq!(outputs.values["tokens"], header.tokens);
    assert_eq!(outputs.values["documents"], header.documents);
    assert_eq!(outputs.values["text_bytes"], header.text_bytes);
    let tokenizer_ref = serde_json::from_value(with["tokenizer"].clone()).unwrap();
    let mut tokenizer = Tokenizer::from_bytes(lab.artifacts.read(&tokenizer_ref).unwrap()).unwrap();
    tokenizer.set_encode_special_tokens(true);
    let ids = ids(&file, &header);
    let mut start = 0;
    for (index, text) in texts.iter().enumerate() {
        let at = 64 + index * 8;
        let end = u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
        let mut expected = vec![1];
        expected.extend(tokenizer.encode_fast(text.as_str(), false).unwrap().get_ids());
        expected.push(2);
        assert_eq!(ids[start..end], expected, "document {index}");
        start = end;
    }
    assert_eq!(start, ids.len());
}

#[test]
fn pieces_and_batches_do_not_show() {
    let (lab, with) = lab();
    let whole = lab.run(&TOKENIZE, &with).unwrap();
    assert_eq!(attempt(&lab, &with, &mut Recorder::default()).unwrap(), whole);
}

#[test]
fn any_interruptions_give_the_same_bytes() {
    let (lab, with) = lab();
    let whole = lab.run(&TOKENIZE, &with).unwrap();
    for seed in 0..25 {
        let mut rng = Rng::new(derive_seed(seed, "interruptions", 0));
        let mut recorder = Recorder::default();
        let mut attempts = 0;
        let outputs = loop {
            attempts += 1;
            // Either a requested stop, or a death between a checkpoint's files and its commit. Later attempts get
            // further.
            let reach = rng.below(4) as u32 + attempts / 20;
            if rng.below(2) == 0 {
                (recorder.looks_left, recorder.commits_left) = (Cell::new(Some(reach)), None);
            } else {
                (recorder.looks_left, recorder.commits_left) = (Cell::new(None), Some(reach));
            }
            match attempt(&lab, &with, &mut recorder) {
                Ok(outputs) => break outputs,
                Err(StepError::Interrupted) => {}
                Err(StepError::Failed(failure)) => panic!("{failure}"),
            }
            // A crash leaves bytes that the checkpoint does not know.
            let path = lab.scratch().join("tokens.partial");
            let mut partial = std::fs::read(&path).unwrap();
            partial.extend(vec![0xAB; rng.below(50) as usize]);
            std::fs::write(&path, partial).unwrap();
        };
        assert!(attempts > 2, "nothing was interrupted");
        assert_eq!(outputs, whole, "seed {seed}");
        assert!(recorder.notes.is_empty(), "{:?}", recorder.notes);
        std::fs::remove_dir_all(lab.scratch()).unwrap();
    }
}

#[test]
fn an_attempt_goes_on_where_the_last_one_stopped() {
    let (lab, with) = lab();
    let mut recorder = Recorder { looks_left: Cell::new(Some(6)), ..Recorder::default() };
    assert!(matches!(attempt(&lab, &with, &mut recorder), Err(StepError::Interrupted)));
    let newest = recorder.checkpoints.last().unwrap().clone();
    assert!(newest.last_doc_index.unwrap() > 3);
    let file = std::fs::metadata(lab.scratch().join("tokens.partial")).unwrap().len();
    assert_eq!(newest.tokens_so_far, Some(file / 2));
    // Starting over would need these six looks again.
    recorder.looks_left = Cell::new(Some(0));
    assert!(matches!(attempt(&lab, &with, &mut recorder), Err(StepError::Interrupted)));
    assert!(recorder.checkpoints.last().unwrap().tokens_so_far > newest.tokens_so_far);
}

#[test]
fn a_damaged_partial_file_is_never_used() {
    let (lab, with) = lab();
    let whole = lab.run(&TOKENIZE, &with).unwrap();
    for (name, damage) in [
        ("tokens.partial", "flip"),
        ("tokens.partial", "cut"),
        ("document-ends.partial", "flip"),
        ("tokens.partial", "remove"),
    ] {
        let mut recorder = Recorder { looks_left: Cell::new(Some(6)), ..Recorder::default() };
        assert!(attempt(&lab, &with, &mut recorder).is_err());
        let path = lab.scratch().join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        match damage {
            "flip" => bytes[1] ^= 1,
            "cut" => bytes.truncate(3),
            _ => {}
        }
        std::fs::write(&path, bytes).unwrap();
        if damage == "remove" {
            std::fs::remove_file(&path).unwrap();
        }
        recorder.looks_left = Cell::new(None);
        assert_eq!(attempt(&lab, &with, &mut recorder).unwrap(), whole, "{name} {damage}");
        assert!(recorder.notes.last().unwrap().contains("starts over"), "{:?}", recorder.notes);
    }
}

#[test]
fn an_older_checkpoint_is_used_when_the_newest_is_damaged() {
    let (lab, with) = lab();
    let whole = lab.run(&TOKENIZE, &with).unwrap();
    let mut recorder = Recorder { looks_left: Cell::new(Some(9)), ..Recorder::default() };
    assert!(attempt(&lab, &with, &mut recorder).is_err());
    assert!(recorder.checkpoints.len() >= 2);
    let path = lab.scratch().join("tokens.partial");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    recorder.looks_left = Cell::new(None);
    assert_eq!(attempt(&lab, &with, &mut recorder).unwrap(), whole);
    assert_eq!(recorder.notes.len(), 1, "{:?}", recorder.notes);
    assert!(recorder.notes[0].contains("cannot be used"));
}

#[test]
fn shards_of_a_tree_are_encoded_by_number_or_together() {
    let (lab, with) = lab();
    let texts = texts();
    let entries = [("shard-00000.jsonl", &texts[..10]), ("shard-00001.jsonl", &texts[10..])];
    let entries = entries.into_iter().map(|(name, texts)| (name.to_owned(), lab.documents(texts))).collect();
    let tree = lab.artifacts.put_tree(&entries).unwrap();
    let run = |shard: Value| {
        let with = json!({"documents": tree, "tokenizer": with["tokenizer"], "shard": shard});
        lab.run(&TOKENIZE, &with)
    };
    assert_eq!(run(Value::Null).unwrap(), lab.run(&TOKENIZE, &with).unwrap());
    assert_eq!(run(json!(0)).unwrap().values["documents"], 10);
    assert_eq!(run(json!(1)).unwrap().values["documents"], texts.len() - 10);
    assert!(run(json!(2)).unwrap_err().message.contains("there is no shard 2"));
}

#[test]
fn wrong_inputs_are_refused() {
    let (lab, with) = lab();
    let no_tokenizer = json!({"documents": with["documents"], "tokenizer": with["documents"]});
    assert!(lab.run(&TOKENIZE, &no_tokenizer).unwrap_err().message.contains("the tokenizer cannot be loaded"));
    let empty = json!({"documents": lab.documents::<&str>(&[]), "tokenizer": with["tokenizer"]});
    assert!(lab.run(&TOKENIZE, &empty).unwrap_err().message.contains("no document to tokenize"));
    let broken = lab.artifacts.put_bytes(b"{\"id\":\"a:0\"}\n", "application/x-ndjson").unwrap();
    let broken = json!({"documents": broken, "tokenizer": with["tokenizer"]});
    assert!(lab.run(&TOKENIZE, &broken).unwrap_err().message.contains(":1: not a document"));
}

#[test]
fn a_broken_line_behind_documents_is_refused_too() {
    let (lab, mut with) = lab();
    let documents = serde_json::from_value(with["documents"].clone()).unwrap();
    let mut bytes = lab.artifacts.read(&documents).unwrap();
    bytes.extend(b"{\"id\":\"a:0\"}\n");
    with["documents"] = json!(lab.artifacts.put_bytes(&bytes, "application/x-ndjson").unwrap());
    let Err(StepError::Failed(failure)) = attempt(&lab, &with, &mut Recorder::default()) else { panic!("it passed") };
    assert!(failure.message.contains(&format!(":{}: not a document", texts().len() + 1)), "{failure}");
}

fn tokenizer_json(lab: &StepLab, with: &Value) -> Vec<u8> {
    lab.artifacts.read(&serde_json::from_value(with["tokenizer"].clone()).unwrap()).unwrap()
}

#[test]
fn the_library_gives_the_same_file() {
    let (lab, mut with) = lab();
    let mut texts = texts();
    // Text that is left to the library, with its neighbours.
    texts.push(format!("before {}\n after", " ".repeat(70_000)));
    with["documents"] = json!(lab.documents(&texts));
    let fast = lab.run(&TOKENIZE, &with).unwrap();
    with["encoder"] = json!("tokenizers");
    assert_eq!(lab.run(&TOKENIZE, &with).unwrap(), fast);
}

#[test]
fn a_tokenizer_of_another_form_is_left_to_the_library_with_a_note() {
    let (lab, mut with) = lab();
    let mut recorder = Recorder::default();
    let ours = attempt(&lab, &with, &mut recorder).unwrap();
    assert_eq!(recorder.notes, [] as [&str; 0]);
    let mut json: Value = serde_json::from_slice(&tokenizer_json(&lab, &with)).unwrap();
    json["post_processor"] =
        json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    with["tokenizer"] = json!(lab.artifacts.put_bytes(json.to_string().as_bytes(), "application/json").unwrap());
    assert_eq!(attempt(&lab, &with, &mut recorder).unwrap(), ours);
    assert_eq!(recorder.notes.len(), 1, "{:?}", recorder.notes);
    assert!(recorder.notes[0].ends_with("it has a post-processor"), "{:?}", recorder.notes);
}

/// Runs an attempt whose own encoder has lost all merges, so that every word of two letters differs.
fn attempt_with_a_wrong_encoder(texts: &[String]) -> Result<Outputs, StepError> {
    let (lab, with) = lab();
    let right = tokenizer_json(&lab, &with);
    let mut wrong: Value = serde_json::from_slice(&right).unwrap();
    wrong["model"]["merges"] = json!([]);
    let encoder = Encoder::load(&right, Method::Fast).unwrap().with_wrong_fast(wrong.to_string().as_bytes());
    let files = document_files(&lab.artifacts, &lab.documents(texts), None).unwrap();
    lab.attempt(&with, &mut Recorder::default(), |context| write_shard(context, SMALL, &encoder, files))
}

#[test]
fn ids_that_differ_from_the_library_fail_the_step_and_name_the_document() {
    // After the first documents, about one in a hundred is checked.
    for (right, wrong) in [(3, 1), (15, 1), (16, 600)] {
        let texts: Vec<String> =
            (0..right + wrong).map(|index| if index < right { "1 2" } else { "1 the" }.to_owned()).collect();
        let Err(StepError::Failed(failure)) = attempt_with_a_wrong_encoder(&texts) else { panic!("{right} {wrong}") };
        let number: usize = failure.message.split(' ').nth(1).unwrap().parse().unwrap();
        assert!((right..right + wrong).contains(&number), "{failure}");
        let expected = format!(
            "document {number} (`test:{number}`), text from byte 0 on: token 1 differs from that of the `tokenizers` library"
        );
        assert_eq!(failure.message, expected);
        assert!(failure.hint.unwrap().contains("encoder = \"tokenizers\""));
    }
    assert!(attempt_with_a_wrong_encoder(&["1 2".to_owned()]).is_ok());
}

#[test]
fn a_later_piece_of_a_long_document_is_checked_too() {
    let text = format!("{}{}", "1 ".repeat(300), "the ".repeat(40_000));
    let Err(StepError::Failed(failure)) = attempt_with_a_wrong_encoder(&[text]) else { panic!("it was not checked") };
    let message = &failure.message;
    assert!(
        message.starts_with("document 0 (`test:0`), text from byte ") && !message.contains("byte 0 on"),
        "{message}"
    );
}
