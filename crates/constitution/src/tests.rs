//! Rows for the tests of this crate, and the schemas that `specs/` shows.

use std::path::Path;

use stepwell_base::artifact::Digest;

use crate::*;

pub fn provenance(step: &str) -> Provenance {
    Provenance {
        step: step.to_owned(),
        prompt: Digest::of(b"x"),
        prompt_tokens: 9,
        model: "m".to_owned(),
        engine: "2/f32".to_owned(),
        constitution: Digest::of(b"c"),
        seed: 1,
        sampling: Sampling { max_tokens: 80, temperature: 0.4, top_p: 0.9, repetition_penalty: 1.1 },
        completion_tokens: 12,
        finish_reason: "stop".to_owned(),
        guard: GuardResult {
            bos: BosPolicy::None,
            special_tokens: 0,
            added_by_tokenizer: 0,
            accepted_chat_tuned: None,
        },
    }
}

/// A row without faults.
pub fn record(number: usize) -> Record {
    let good = Critique::of(LabelScores { logp_a: -0.1, logp_b: -3.0 }, &CriticRules::default());
    Record {
        schema: 1,
        id: format!("r-{number}"),
        instruction: format!("Name the number {number}."),
        response: Some(format!("It is {number}.")),
        flags: Some(Flags::default()),
        instruction_critique: Some(good.clone()),
        pair_critique: Some(good),
        revision: None,
        prompt: None,
        completion: None,
        metadata: Metadata { steps: vec![provenance("constitution.respond")] },
    }
}

fn item(number: usize) -> Item {
    Item {
        id: format!("e-{number}"),
        kind: if number.is_multiple_of(2) { "even" } else { "odd" }.to_owned(),
        instruction: format!("Say {number} in words."),
        expected: vec![format!("answer {number}")],
        forbidden: Vec::new(),
        most_words: None,
    }
}

/// Answers of an arm: whether each is right, and its length.
pub fn outcomes(arm: Arm, count: usize, of: impl Fn(usize) -> (bool, u64)) -> Vec<Outcome> {
    let calibration = Calibration {
        schema: 1,
        scorer: Scorer::Expected,
        rows: 20,
        positives: 1.0,
        negatives: 1.0,
        length: 1.0,
        passed: true,
        set: "s".to_owned(),
    };
    let outcome = |number| {
        let (is_right, length) = of(number);
        let (item, provenance) = (item(number), provenance("constitution.evaluate"));
        let calibration = calibration.clone();
        Outcome { schema: 1, arm, item, answer: String::new(), is_right, length, calibration, provenance }
    };
    (0..count).map(outcome).collect()
}

/// A calibration set: right answers, wrong ones, and answers whose length misleads.
pub fn gold() -> Vec<GoldRow> {
    let row = |number: usize, answer: String, is_right, kind| GoldRow { item: item(number), answer, is_right, kind };
    let mut rows = Vec::new();
    for number in 0..6 {
        rows.push(row(number, format!("The answer {number}, I think."), true, GoldKind::Positive));
        rows.push(row(number, format!("The answer {}, I think.", number + 1), false, GoldKind::Negative));
        rows.push(row(number, "This is an answer of the usual length.".to_owned(), false, GoldKind::Length));
        let long = format!("answer {number} {}", "and so it is ".repeat(60));
        rows.push(row(number, long, true, GoldKind::Length));
    }
    rows
}

#[test]
fn lines_survive_and_wrong_ones_have_their_number() {
    let records: Vec<Record> = (0..3).map(record).collect();
    let bytes = write_lines(&records);
    assert_eq!(read_lines::<Record>("rows", &bytes).unwrap(), records);
    let stop = read_lines::<Record>("rows", b"\n{\"schema\":1,\"x\":2}\n").unwrap_err();
    assert!(stop.message.starts_with("line 2 of rows") && stop.code == Code::InvalidRecord, "{stop}");
}

#[test]
fn the_schemas_in_specs_are_those_of_the_types() {
    let schemas = [
        ("record", schemars::schema_for!(Record)),
        ("preference_pair", schemars::schema_for!(PreferencePair)),
        ("quality", schemars::schema_for!(Summary)),
        ("outcome", schemars::schema_for!(Outcome)),
        ("gate", schemars::schema_for!(GateReport)),
        ("constitution", schemars::schema_for!(Constitution)),
        ("baseline", schemars::schema_for!(Baseline)),
        ("gold_row", schemars::schema_for!(GoldRow)),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../specs/schemas");
    for (name, schema) in schemas {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path = folder.join(format!("{name}.schema.json"));
        if std::env::var_os("STEPWELL_BLESS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "specs/schemas/{name}.schema.json is old: STEPWELL_BLESS=1 writes it again");
    }
}
