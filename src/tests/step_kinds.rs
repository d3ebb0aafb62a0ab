//! Step kinds belong to `stepwell-steps`: what the command line needs to know of a kind, the kind declares.

use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Looks at lines that compare a kind or match a text.
#[test]
fn no_step_kind_is_named() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 50, "{} files", found.len());
    let literals: Vec<String> = stepwell_steps::registry().iter().map(|kind| format!("\"{}\"", kind.kind())).collect();
    let mut named = Vec::new();
    let is_program = |path: &&PathBuf| !path.ends_with("tests/step_kinds.rs") && !path.ends_with("tests.rs");
    for path in found.iter().filter(is_program) {
        let text = std::fs::read_to_string(path).unwrap();
        for (index, line) in text.lines().enumerate() {
            let decides = |literal: &String| {
                let matched = [format!("{literal} =>"), format!("{literal} |")];
                matched.iter().any(|arm| line.contains(arm)) || line.contains("kind") && line.contains(literal)
            };
            if literals.iter().any(decides) {
                named.push(format!("{}:{}: {}", path.display(), index + 1, line.trim()));
            }
        }
    }
    assert!(named.is_empty(), "\n{}", named.join("\n"));
}
