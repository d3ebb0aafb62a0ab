//! Documents and a tokenizer trained on them, made as users make them: by a workflow.

use std::path::Path;
use std::process::Child;

use crate::error::BenchError;
use crate::observe::{finish, stepwell};

pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const DOCUMENTS: &str = "documents.jsonl";

/// Imports a corpus into `folder` and trains a tokenizer on it.
pub(super) fn write(folder: &Path, corpus: &str, documents: u64, vocab_size: u32) -> Result<(), BenchError> {
    let state_dir = folder.join("state");
    let file = folder.join("workflow.toml");
    let corpus = serde_json::Value::from(corpus);
    let of_builtin =
        if corpus == "builtin:grammar" { format!("with.documents = {documents}\n") } else { String::new() };
    let text = format!(
        "name = \"material\"\n\
         [[step]]\nid = \"import\"\nkind = \"corpus.import\"\nwith.source = {corpus}\n{of_builtin}\
         [[step]]\nid = \"tokenizer\"\nkind = \"tokenizer.train\"\nwith.vocab_size = {vocab_size}\n\
         with.documents = \"{{{{ steps.import.outputs.documents }}}}\"\n"
    );
    std::fs::write(&file, text).map_err(BenchError::system("write the workflow"))?;
    let run = |args: &[&str]| -> Result<(), BenchError> {
        let child: Child = stepwell(&state_dir, args)?.spawn().map_err(BenchError::system("start the engine"))?;
        finish(child, args[1]).map(drop)
    };
    run(&["--quiet", "run", &file.to_string_lossy()])?;
    for (artifact, name) in [("last/tokenizer/tokenizer", TOKENIZER), ("last/import/documents", DOCUMENTS)] {
        run(&["--quiet", "artifact", "get", artifact, &folder.join(name).to_string_lossy()])?;
    }
    Ok(())
}
