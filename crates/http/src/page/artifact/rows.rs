//! Rows of data for a training as people read them: what is given, what is learned of it, and how it was judged.

use serde_json::Value;

use stepwell_base::visible::visible;

/// Rows on a page.
const MOST: usize = 50;
/// Characters of a text that are shown.
const LONGEST: usize = 1_000;

/// A row of a file that the steps of the constitution, or a person, made for a training.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DataRow {
    pub id: String,
    /// The part that is read and not learned.
    pub given: String,
    /// The part that is learned, preferred or judged.
    pub learned: String,
    /// The answer that is not preferred.
    pub rejected: String,
    /// Judgements, such as `margin 1.52`.
    pub marks: Vec<String>,
}

/// The rows of JSON lines; none if they are of another kind. The last line may be cut.
pub fn rows(media_type: &str, text: &str) -> Vec<DataRow> {
    if !media_type.contains("ndjson") {
        return Vec::new();
    }
    text.lines().map_while(|line| serde_json::from_str(line).ok()).map_while(|line| row(&line)).take(MOST).collect()
}

fn row(line: &Value) -> Option<DataRow> {
    let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str);
    let (given, learned, rejected) = match (text("/prompt"), text("/completion"), text("/chosen")) {
        (Some(prompt), Some(completion), _) => (prompt, completion, ""),
        (Some(prompt), None, Some(chosen)) => (prompt, chosen, text("/rejected")?),
        _ => match (text("/instruction"), text("/item/instruction")) {
            (Some(instruction), _) => (instruction, text("/response").unwrap_or_default(), ""),
            (None, Some(instruction)) => (instruction, text("/answer")?, ""),
            (None, None) => return None,
        },
    };
    let shown = |text: &str| {
        let end = text.char_indices().nth(LONGEST).map_or(text.len(), |(at, _)| at);
        let more = if end < text.len() { "…" } else { "" };
        format!("{}{more}", visible(&text[..end]))
    };
    let id = text("/id").or(text("/item/id")).unwrap_or_default();
    Some(DataRow {
        id: shown(id),
        given: shown(given),
        learned: shown(learned),
        rejected: shown(rejected),
        marks: marks(line),
    })
}

fn marks(line: &Value) -> Vec<String> {
    let mut marks = Vec::new();
    let number = |pointer: &str| line.pointer(pointer).and_then(Value::as_f64);
    for (name, place) in [("instruction", "/instruction_critique"), ("answer", "/pair_critique")] {
        if let (Some(margin), Some(good)) =
            (number(&format!("{place}/margin")), line.pointer(&format!("{place}/is_good")))
        {
            let verdict = if good == &Value::Bool(true) { "good" } else { "refused" };
            marks.push(format!("{name} {verdict}, margin {margin:.2}"));
        }
    }
    if let Some(margin) = number("/preference/margin") {
        marks.push(format!("preferred, margin {:.2}", margin.abs()));
    }
    if let Some(principle) = line.pointer("/principle").or(line.pointer("/revision/principle")).and_then(Value::as_str)
    {
        marks.push(format!("by {}", visible(principle)));
    }
    for flag in ["runaway", "token_limit", "leak", "empty"] {
        if line.pointer(&format!("/flags/{flag}")) == Some(&Value::Bool(true)) {
            marks.push(flag.replace('_', " "));
        }
    }
    if let Some(is_right) = line.get("is_right").and_then(Value::as_bool) {
        marks.push(if is_right { "right" } else { "wrong" }.to_owned());
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    const NDJSON: &str = "application/x-ndjson";

    #[test]
    fn rows_show_what_is_learned_and_how_it_was_judged() {
        let found = rows(NDJSON, "{\"prompt\":\"Q:\",\"completion\":\" a\"}\n{\"prompt\":\"x\",\"completion\":\"cu");
        let expected = DataRow { given: "Q:".into(), learned: " a".into(), ..DataRow::default() };
        assert_eq!(found, [expected], "a cut line is no row");
        let pair =
            r#"{"id":"i-1","prompt":"p","chosen":"c","rejected":"r","principle":"brief","preference":{"margin":-1.5}}"#;
        assert_eq!(
            (&*rows(NDJSON, pair)[0].rejected, &rows(NDJSON, pair)[0].marks[..]),
            ("r", &["preferred, margin 1.50".to_owned(), "by brief".to_owned()][..])
        );
        let record = r#"{"id":"i","instruction":"x","response":"y","flags":{"runaway":true},"pair_critique":{"margin":0.25,"is_good":false}}"#;
        assert_eq!(rows(NDJSON, record)[0].marks, ["answer refused, margin 0.25", "runaway"]);
        let outcome = r#"{"item":{"id":"e","instruction":"x"},"answer":"y","is_right":true}"#;
        assert_eq!(rows(NDJSON, outcome)[0].marks, ["right"]);
    }

    #[test]
    fn other_files_are_no_rows() {
        assert!(rows(NDJSON, "{\"id\":\"d\",\"text\":\"x\"}\n").is_empty());
        assert!(rows("application/json", "{\"prompt\":\"Q:\",\"completion\":\" a\"}\n").is_empty());
        assert!(rows(NDJSON, "no json").is_empty());
    }
}
