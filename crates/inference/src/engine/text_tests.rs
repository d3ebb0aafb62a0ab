//! Texts that end in the middle of tokens, and texts that must be JSON.

use std::sync::Arc;

use proptest::prelude::*;
use stepwell_base::ordered_json::Json;
use stepwell_models::Tokenizer;

use super::*;
use crate::network::tests::RandomModel;
use crate::sampling::{Format, Grammar, Logprobs, SamplingOptions};

/// A token for each printable ASCII character, for the space and the line break, and for a few pairs.
fn tokenizer() -> Tokenizer {
    let pairs = ["{\"", "\":", "\",", "\"}", "ab", "}}"];
    let single = ('!'..='~').chain(['Ġ', 'Ċ']).map(String::from);
    let vocab: serde_json::Map<String, serde_json::Value> =
        single.chain(pairs.map(String::from)).enumerate().map(|(id, token)| (token, id.into())).collect();
    let merges = pairs.map(|pair| format!("{} {}", &pair[..1], &pair[1..]));
    let level = serde_json::json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false });
    let json = serde_json::json!({
        "version": "1.0", "added_tokens": [], "pre_tokenizer": level, "decoder": level,
        "model": { "type": "BPE", "vocab": vocab, "merges": merges },
    });
    Tokenizer::from_json(json.to_string().as_bytes()).unwrap()
}

fn answer(tokenizer: &Tokenizer, sampling: SamplingOptions) -> (String, Finished) {
    let options = EngineOptions { threads: 1, cache_bytes: 1 << 24, ..EngineOptions::default() };
    let mut engine = Engine::from_source(&RandomModel::tiny(), vec![], &options).unwrap();
    engine.speak(tokenizer);
    engine.submit(Request { id: 1, prompt: vec![65, 66, 67], sampling }).unwrap();
    let mut shown = String::new();
    loop {
        for event in engine.step() {
            match event {
                Event::Token { text, .. } => shown.push_str(&text),
                Event::Finished(finished) => return (shown + &finished.last_text, finished),
                Event::Prompt { .. } => {}
            }
        }
    }
}

#[test]
fn a_stop_string_ends_the_text_wherever_it_starts_and_ends() {
    let tokenizer = tokenizer();
    let greedy = SamplingOptions { max_tokens: Some(40), temperature: 0.0, ..SamplingOptions::default() };
    let (shown, free) = answer(&tokenizer, greedy.clone());
    assert_eq!((shown.as_str(), free.reason), (free.text.as_str(), Reason::Length));
    for (start, len) in [(3, 2), (7, 5), (0, 3)] {
        let stop = free.text[start..start + len].to_owned();
        let until = free.text.find(&stop).unwrap();
        let with = SamplingOptions { stop: vec!["never this".into(), stop.clone()], ..greedy.clone() };
        let (shown, stopped) = answer(&tokenizer, with.clone());
        assert_eq!((shown.as_str(), stopped.text.as_str()), (&free.text[..until], &free.text[..until]));
        assert_eq!(stopped.reason, Reason::Stop(StopCause::Text(stop.clone())));
        let (shown, included) = answer(&tokenizer, SamplingOptions { include_stop: true, ..with.clone() });
        assert_eq!((shown.as_str(), included.text.as_str()), (&free.text[..until + len], &free.text[..until + len]));
        let (_, later) = answer(&tokenizer, SamplingOptions { min_tokens: 30, ..with });
        assert!(later.generated >= 30);
    }
}

#[test]
fn json_mode_gives_objects_and_nothing_else() {
    let tokenizer = tokenizer();
    let mut complete = 0;
    for seed in 0..40 {
        // Ends become likelier: a random model would write for ever.
        let ends = ["}", "\"", "\"}", "]"].map(|end| (tokenizer.id_of(end).unwrap_or(60), 4.0));
        let sampling = SamplingOptions {
            max_tokens: Some(150),
            seed,
            format: Format::Json,
            logit_bias: ends.to_vec(),
            ..SamplingOptions::default()
        };
        let (shown, finished) = answer(&tokenizer, sampling);
        assert_eq!(shown, finished.text);
        let parsed = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&finished.text);
        match finished.reason {
            Reason::Stop(StopCause::Json) => {
                parsed.expect(&finished.text);
                complete += 1;
            }
            Reason::Length => assert!(parsed.unwrap_err().is_eof(), "{}", finished.text),
            other => panic!("{other:?}: {}", finished.text),
        }
    }
    assert!(complete > 20, "{complete} of 40");
}

const SCHEMA: &str = r##"{"type": "object", "properties": {
    "a": {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"$ref": "#"}, "maxItems": 2}]},
    "ab": {"enum": ["ab", "abab", 7, 77, null]},
    "b": {"type": "string", "maxLength": 6}
}, "required": ["ab"]}"##;

fn sampling(id: u64) -> SamplingOptions {
    let schema: Json = serde_json::from_str(SCHEMA).unwrap();
    let schema = Format::Schema(Arc::new(Grammar::of(&schema, "schema").unwrap()));
    SamplingOptions {
        max_tokens: Some(10 + id as usize % 40),
        seed: id,
        n: 1 + id as usize % 2,
        logprobs: Some(3),
        prompt_logprobs: [None, Some(2)][id as usize / 2 % 2],
        format: [schema, Format::Json, Format::Text][id as usize % 3].clone(),
        ..SamplingOptions::default()
    }
}

/// Everything that a request is told: scores of its prompt, its tokens and their scores, its texts.
type Told = (Vec<Option<Logprobs>>, Vec<(usize, u32, Option<Logprobs>)>, Vec<(usize, String, Reason)>);

fn told(events: &[Event], id: u64) -> Told {
    let mut told = Told::default();
    for event in events {
        match event {
            Event::Prompt { id: of, logprobs } if *of == id => told.0.clone_from(logprobs),
            Event::Token { id: of, choice, token, logprobs, .. } if *of == id => {
                told.1.push((*choice, *token, logprobs.clone()));
            }
            Event::Finished(finished) if finished.id == id => {
                told.2.push((finished.choice, finished.text.clone(), finished.reason.clone()));
            }
            _ => {}
        }
    }
    told.1.sort_by_key(|(choice, ..)| *choice);
    told.2.sort_by_key(|(choice, ..)| *choice);
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Forms and scores of prompts change nothing about other sequences, and nothing changes them. The cache is so small that
    /// sequences are preempted.
    #[test]
    fn texts_with_a_form_have_equal_bits_in_any_company(
        lens in prop::collection::vec(1..90usize, 1..6),
        start in 0..9u64,
        gaps in prop::collection::vec(0..4usize, 6),
        slots in 1..9usize,
        prefill_chunk in 1..60usize,
        blocks in 5..11usize,
        dtype in prop::sample::select(vec![crate::Dtype::F32, crate::Dtype::Q8_0]),
    ) {
        let tokenizer = tokenizer();
        let alone = EngineOptions { dtype, threads: 1, cache_bytes: 1 << 24, ..EngineOptions::default() };
        let block = 3 * 2 * (20 + 32) * 32 * if dtype == crate::Dtype::F32 { 4 } else { 2 };
        let together = EngineOptions { slots, prefill_chunk, threads: 2, cache_bytes: blocks * block, ..alone.clone() };
        let request = |index: usize| {
            let id = start + index as u64;
            let prompt = (0..lens[index] as u32).map(|place| (place * 7 + id as u32 % 2) % 100).collect();
            Request { id, prompt, sampling: sampling(id) }
        };
        let run = |options: &EngineOptions, requests: Vec<(Request, usize)>| {
            let mut engine = Engine::from_source(&RandomModel::tiny(), vec![], options).unwrap();
            engine.speak(&tokenizer);
            let mut events = Vec::new();
            for (request, steps) in requests {
                engine.submit(request).unwrap();
                (0..steps).for_each(|_| events.extend(engine.step()));
            }
            while !engine.is_idle() {
                events.extend(engine.step());
            }
            events
        };
        let all = (0..lens.len()).map(|index| (request(index), gaps[index])).collect();
        let events = run(&together, all);
        for index in 0..lens.len() {
            let id = start + index as u64;
            prop_assert_eq!(told(&events, id), told(&run(&alone, vec![(request(index), 0)]), id));
        }
    }
}

#[test]
fn texts_meet_their_schema() {
    let tokenizer = tokenizer();
    let mut complete = 0;
    for seed in 0..40 {
        let (shown, finished) =
            answer(&tokenizer, SamplingOptions { seed, max_tokens: Some(200), n: 1, ..sampling(0) });
        assert_eq!(shown, finished.text);
        let parsed = serde_json::from_str::<serde_json::Value>(&finished.text);
        match finished.reason {
            Reason::Stop(StopCause::Json) => {
                let value = parsed.expect(&finished.text);
                let ab = ["\"ab\"", "\"abab\"", "7", "77", "null"];
                assert!(ab.contains(&value["ab"].to_string().as_str()), "{}", finished.text);
                complete += 1;
            }
            Reason::Length => assert!(parsed.unwrap_err().is_eof(), "{}", finished.text),
            other => panic!("{other:?}: {}", finished.text),
        }
    }
    assert!(complete > 5, "{complete} of 40");
}
