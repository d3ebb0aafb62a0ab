//! A real model: tokens of `transformers`, and equal bits in any company. `STEPWELL_SMOLLM2` names the folder of
//! SmolLM2-135M-Instruct; without it there is nothing to test.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use stepwell_base::ordered_json::Json;
use stepwell_inference::{Dtype, Engine, EngineOptions, Event, Request, SamplingOptions};
use stepwell_models::{Conversation, Model};

/// A row of `smollm2.json`, see `scripts/golden/make_smollm2.py`.
#[derive(Deserialize)]
struct Row {
    prompt: Vec<u32>,
    tokens: Vec<u32>,
}

fn rows() -> Vec<Row> {
    serde_json::from_str(include_str!("smollm2.json")).unwrap()
}

/// Greedy tokens of 1,000 rows, see `scripts/golden/make_smollm2_rows.py`.
const MANY: &[u8] = include_bytes!("smollm2_rows.bin");
const TOKENS: usize = 16;

/// The prompts of [`MANY`], as `scripts/golden/make_smollm2.py` makes them: two of three are chats.
fn prompt(model: &Model, row: usize) -> Vec<u32> {
    const THINGS: [&str; 20] = [
        "the sea",
        "a small dog",
        "prime numbers",
        "the history of Rome",
        "how to bake bread",
        "gravity",
        "a lost key",
        "rivers",
        "Rust programming",
        "the moon",
        "a letter to a friend",
        "photosynthesis",
        "chess",
        "winter",
        "a recipe for soup",
        "democracy",
        "volcanoes",
        "music theory",
        "a train journey",
        "bees",
    ];
    const TEXTS: [&str; 10] = [
        "Write a short paragraph about {}.",
        "Explain {} to a child.",
        "List three facts about {}.",
        "What is {}?",
        "Write a poem about {}.",
        "Give me advice about {}.",
        "Translate into French: I like {}.",
        "Why is {} important?",
        "Summarise {} in one sentence.",
        "Continue the story: Once there was {}",
    ];
    let mut text = TEXTS[row % 10].replace("{}", THINGS[row / 10 % 20]);
    if row >= 200 {
        text += &format!(" Use about {} words.", 10 + row);
    }
    if row % 3 == 2 {
        return model.tokenizer.encode_text(&text).unwrap();
    }
    let message = Json::Object(vec![("role".into(), "user".into()), ("content".into(), Json::Text(text))]);
    let messages = Json::List(vec![message]);
    let rendered = model.chat.as_ref().unwrap().render(&Conversation::new(&messages, 0)).unwrap();
    model.tokenizer.encode_rendered(&rendered).unwrap()
}

fn model() -> Option<Model> {
    let folder = std::env::var_os("STEPWELL_SMOLLM2");
    if folder.is_none() {
        eprintln!("skipped: set STEPWELL_SMOLLM2 to the folder of SmolLM2-135M-Instruct");
    }
    folder.map(|folder| Model::open(Path::new(&folder)).unwrap())
}

/// Tokens of each row, and the bits of their log-probabilities.
type Answers = BTreeMap<u64, (Vec<u32>, Vec<u32>)>;

fn answers(model: &Model, options: &EngineOptions, order: &[u64], temperature: f32) -> Answers {
    let (mut engine, rows) = (Engine::new(model, options).unwrap(), rows());
    let mut answers = Answers::new();
    for id in order {
        let sampling = SamplingOptions {
            max_tokens: Some(rows[*id as usize].tokens.len()),
            temperature,
            seed: *id,
            ignore_eos: true,
            logprobs: Some(0),
            ..SamplingOptions::default()
        };
        engine.submit(Request { id: *id, prompt: rows[*id as usize].prompt.clone(), sampling }).unwrap();
    }
    while !engine.is_idle() {
        for event in engine.step() {
            match event {
                Event::Token { id, logprobs: Some(logprobs), .. } => {
                    answers.entry(id).or_default().1.push(logprobs.chosen.logprob.to_bits());
                }
                Event::Finished(finished) => answers.entry(finished.id).or_default().0 = finished.tokens,
                _ => {}
            }
        }
    }
    answers
}

#[test]
fn greedy_rows_are_those_of_transformers_at_every_batch_size() {
    let Some(model) = model() else { return };
    let (rows, order) = (rows(), (0..rows().len() as u64).collect::<Vec<u64>>());
    let mut all = Vec::new();
    for slots in [1, 4, 16] {
        let found = answers(&model, &EngineOptions { slots, ..EngineOptions::default() }, &order, 0.0);
        for (row, (tokens, _)) in rows.iter().zip(found.values()) {
            assert_eq!(&row.tokens, tokens, "with {slots} at a time");
        }
        all.push(found);
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "log-probabilities have equal bits");
}

/// Compares [`MANY`] with the tokens of an engine that computes `slots` rows at a time.
#[track_caller]
fn assert_a_thousand_rows(slots: usize) {
    let Some(model) = model() else { return };
    let rows = MANY.as_chunks::<{ 2 * TOKENS }>().0;
    let mut engine = Engine::new(&model, &EngineOptions { slots, ..EngineOptions::default() }).unwrap();
    for row in 0..rows.len() {
        let sampling = SamplingOptions {
            max_tokens: Some(TOKENS),
            temperature: 0.0,
            ignore_eos: true,
            ..SamplingOptions::default()
        };
        engine.submit(Request { id: row as u64, prompt: prompt(&model, row), sampling }).unwrap();
    }
    let mut equal = 0;
    while !engine.is_idle() {
        for event in engine.step() {
            let Event::Finished(finished) = event else { continue };
            let expected: Vec<u32> = rows[finished.id as usize]
                .as_chunks::<2>()
                .0
                .iter()
                .map(|bytes| u16::from_le_bytes(*bytes).into())
                .collect();
            assert_eq!(finished.tokens, expected, "row {}", finished.id);
            equal += 1;
        }
    }
    assert_eq!(equal, 1000);
}

// One test for each batch size: one at a time takes half an hour on two cores, sixteen at a time a few minutes.

#[test]
fn a_thousand_greedy_rows_are_those_of_transformers_one_at_a_time() {
    assert_a_thousand_rows(1);
}

#[test]
fn a_thousand_greedy_rows_are_those_of_transformers_four_at_a_time() {
    assert_a_thousand_rows(4);
}

#[test]
fn a_thousand_greedy_rows_are_those_of_transformers_sixteen_at_a_time() {
    assert_a_thousand_rows(16);
}

#[test]
fn sampled_rows_have_equal_bits_in_any_order_and_form() {
    let Some(model) = model() else { return };
    let order: Vec<u64> = (0..rows().len() as u64).collect();
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Q8_0] {
        let options = EngineOptions { dtype, slots: 16, ..EngineOptions::default() };
        let expected = answers(&model, &options, &order, 1.0);
        let reversed: Vec<u64> = order.iter().rev().copied().collect();
        let other = EngineOptions { slots: 3, threads: 3, prefill_chunk: 19, ..options };
        assert_eq!(answers(&model, &other, &reversed, 1.0), expected, "{}", dtype.name());
    }
}

/// Log-probabilities of all tokens of the rows but the first ones.
fn scores(model: &Model, dtype: Dtype) -> Vec<f32> {
    let mut engine = Engine::new(model, &EngineOptions { dtype, ..EngineOptions::default() }).unwrap();
    for (id, row) in (0..).zip(rows()) {
        let sampling = SamplingOptions { max_tokens: Some(1), prompt_logprobs: Some(0), ..SamplingOptions::default() };
        let prompt = [row.prompt, row.tokens].concat();
        engine.submit(Request { id, prompt, sampling }).unwrap();
    }
    let mut scores = BTreeMap::new();
    while !engine.is_idle() {
        for event in engine.step() {
            if let Event::Prompt { id, logprobs } = event {
                scores.insert(id, logprobs);
            }
        }
    }
    scores.into_values().flatten().flatten().map(|logprobs| logprobs.chosen.logprob).collect()
}

/// The numbers stand in specs/inference.md.
#[test]
fn rounded_weights_change_log_probabilities_by_little() {
    let Some(model) = model() else { return };
    let exact = scores(&model, Dtype::F32);
    for (dtype, mean_limit, most_limit) in [(Dtype::Bf16, 0.02, 0.3), (Dtype::Q8_0, 0.12, 1.5)] {
        let rounded = scores(&model, dtype);
        assert_eq!(rounded.len(), exact.len());
        let errors: Vec<f32> = exact.iter().zip(&rounded).map(|(exact, rounded)| (exact - rounded).abs()).collect();
        let mean = errors.iter().sum::<f32>() / errors.len() as f32;
        let most = errors.iter().copied().fold(0.0, f32::max);
        eprintln!("{}: mean {mean:.5}, largest {most:.4} of {} tokens", dtype.name(), errors.len());
        assert!(mean < mean_limit && most < most_limit, "{}: mean {mean}, largest {most}", dtype.name());
    }
}
