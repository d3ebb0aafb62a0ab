//! The example that every build has: a small constitution, evaluation items and a calibration set.

/// Start of a name of a built-in file.
pub const PREFIX: &str = "builtin:";

const FILES: [(&str, &str); 3] = [
    ("constitution", include_str!("../../../../workflows/constitutional/constitution.toml")),
    ("evaluation", include_str!("../../../../workflows/constitutional/evaluation.jsonl")),
    ("gold", include_str!("../../../../workflows/constitutional/gold.jsonl")),
];

/// The text of `builtin:NAME`.
pub fn find(path: &str) -> Option<&'static str> {
    let name = path.strip_prefix(PREFIX)?;
    FILES.iter().find(|(file, _)| *file == name).map(|(_, text)| *text)
}
