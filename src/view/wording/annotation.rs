//! Shows what people say about runs.

use serde_json::{Value, json};

use stepwell_base::remark::{Note, Tag};
use stepwell_store::Annotation;

/// Lines for the heading of a run; none for a run that nobody has annotated.
pub fn lines(annotation: &Annotation) -> String {
    let Annotation { tags, note, kept_at } = annotation;
    let mut text = String::new();
    if !tags.is_empty() {
        text.push_str(&format!("tags      {}\n", tag_list(annotation)));
    }
    if let Some(note) = note {
        text.push_str(&format!("note      {}\n", note.as_str().replace('\n', "\n          ")));
    }
    if let Some(at) = kept_at {
        text.push_str(&format!("kept      since {at}: neither `gc` nor `rm` removes it\n"));
    }
    text
}

/// The tags in one cell of a table.
pub fn tag_list(annotation: &Annotation) -> String {
    annotation.tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ")
}

/// Adds `tags`, `note` and `kept_at` to the JSON of a run.
pub fn add_json(run: &mut Value, annotation: &Annotation) {
    run["tags"] = json!(annotation.tags);
    run["note"] = json!(annotation.note.as_ref().map(Note::as_str));
    run["kept_at"] = json!(annotation.kept_at);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heading_has_a_line_for_each_remark() {
        assert_eq!(lines(&Annotation::default()), "");
        let annotation = Annotation {
            tags: ["good", "baseline"].map(|tag| tag.parse().unwrap()).into(),
            note: Some("first line\nsecond".parse().unwrap()),
            kept_at: Some("2026-11-30T05:00:00Z".parse().unwrap()),
        };
        assert_eq!(
            lines(&annotation),
            "\
tags      baseline, good
note      first line
          second
kept      since 2026-11-30T05:00:00Z: neither `gc` nor `rm` removes it
"
        );
        let mut run = json!({ "id": 1 });
        add_json(&mut run, &annotation);
        assert_eq!(
            run,
            json!({ "id": 1, "tags": ["baseline", "good"], "note": "first line\nsecond", "kept_at": "2026-11-30T05:00:00Z" })
        );
    }
}
