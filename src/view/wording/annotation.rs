//! Shows what people say about runs.

use serde_json::{Value, json};

use stepwell_base::remark::{Note, Tag};
use stepwell_store::Annotation;

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
    fn scripts_get_every_remark() {
        let annotation = Annotation {
            tags: ["good", "baseline"].map(|tag| tag.parse().unwrap()).into(),
            note: Some("first line\nsecond".parse().unwrap()),
            kept_at: Some("2026-11-30T05:00:00Z".parse().unwrap()),
        };
        let mut run = json!({ "id": 1 });
        add_json(&mut run, &annotation);
        assert_eq!(
            run,
            json!({ "id": 1, "tags": ["baseline", "good"], "note": "first line\nsecond", "kept_at": "2026-11-30T05:00:00Z" })
        );
    }
}
