//! Wraps the `tokenizers` library, which panics on some invalid files.

use serde_json::Value;
use tokenizers::Tokenizer;

use stepwell_base::failure::Failure;

/// Reads a `tokenizer.json`.
///
/// # Errors
/// A fatal failure when the bytes are not a tokenizer.
pub fn load_tokenizer(json: &[u8]) -> Result<Tokenizer, Failure> {
    let unusable = |why: &dyn std::fmt::Display| {
        Failure::fatal(format!("the tokenizer cannot be loaded: {why}"))
            .with_hint("`tokenizer` must be the output of `tokenizer.train`")
    };
    // The library reads parts of the file twice and assumes that they are JSON.
    let file: Value = serde_json::from_slice(json).map_err(|error| unusable(&error))?;
    if names_precompiled(&file["normalizer"]) {
        return Err(unusable(&"its normalizer is `Precompiled`, which only tokenizers of SentencePiece have"));
    }
    Tokenizer::from_bytes(json).map_err(|error| unusable(&error))
}

/// A damaged table of a `Precompiled` normalizer makes the library panic.
fn names_precompiled(normalizer: &Value) -> bool {
    match normalizer {
        Value::String(text) => text == "Precompiled",
        Value::Array(items) => items.iter().any(names_precompiled),
        Value::Object(fields) => fields.values().any(names_precompiled),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_makes_the_library_panic() {
        let broken = r#"{"version":"1.0","decoder":{"type":"ByteLevel","add_prefixrue,"trim_offsets":true}}"#;
        let table = r#"{"version":"1.0","normalizer":{"type":"Sequence","normalizers":[{"type":"Precompiled","precompiled_charsmap":"AAA"}]}}"#;
        let deep = format!(r#"{{"version":"1.0","decoder":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
        let number = r#"{"version":"1.0","decoder":{"type":"ByteLevel","x":1e999}}"#;
        for json in [broken, table, &deep, number, "", "[]", "{}"] {
            let failure = load_tokenizer(json.as_bytes()).expect_err("no tokenizer");
            assert!(failure.message.starts_with("the tokenizer cannot be loaded: "), "{failure}");
        }
    }
}
