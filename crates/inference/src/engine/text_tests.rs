//! Texts that end in the middle of tokens, and texts that must be JSON.

use stepwell_models::Tokenizer;

use super::*;
use crate::network::tests::RandomModel;
use crate::sampling::{Format, SamplingOptions};

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
