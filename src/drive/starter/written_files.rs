//! The files that a script visibly writes: calls such as `torch.save(model, "model.pt")` with the name as plain text.

use std::path::Path;

/// Most files to propose.
const MOST_FILES: usize = 8;
/// Longest arguments of a call to look at, in bytes.
const LONGEST_CALL: usize = 2000;

/// Use of a name among the arguments of a call.
enum Writes {
    /// The last plain name; with this extension, if it has none.
    Name(Option<&'static str>),
    /// The first argument, if the second is a mode for writing.
    Opened,
    /// Renames its first argument to the second.
    Moved,
}

const CALLS: &[(&str, Writes)] = &[
    ("torch.save(", Writes::Name(None)),
    ("np.save(", Writes::Name(Some("npy"))),
    ("numpy.save(", Writes::Name(Some("npy"))),
    ("np.savez(", Writes::Name(Some("npz"))),
    ("np.savetxt(", Writes::Name(None)),
    (".to_csv(", Writes::Name(None)),
    (".to_parquet(", Writes::Name(None)),
    (".savefig(", Writes::Name(None)),
    (".save_pretrained(", Writes::Name(None)),
    ("joblib.dump(", Writes::Name(None)),
    ("save_file(", Writes::Name(None)),
    ("open(", Writes::Opened),
    ("os.replace(", Writes::Moved),
    ("os.rename(", Writes::Moved),
];

/// Names for outputs and the files, in the order in which the script writes them.
pub fn written_files(script: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = script.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let code = lines.join("\n");
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut moved: Vec<(String, Option<String>)> = Vec::new();
    for (call, writes) in CALLS {
        for (at, _) in code.match_indices(call) {
            // `np.save(` is no part of a longer name, and neither is `open(`.
            let before = code[..at].chars().next_back();
            if !call.starts_with('.') && before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.') {
                continue;
            }
            let names: Vec<Option<String>> = arguments(&code[at + call.len()..]).iter().map(|one| plain(one)).collect();
            match writes {
                Writes::Name(extension) => {
                    if let Some(name) = names.into_iter().flatten().next_back() {
                        found.push((at, with_extension(name, *extension)));
                    }
                }
                Writes::Opened => {
                    if let [Some(name), Some(mode), ..] = names.as_slice()
                        && mode.starts_with(['w', 'a', 'x'])
                    {
                        found.push((at, name.clone()));
                    }
                }
                Writes::Moved => {
                    if let [Some(from), to, ..] = names.as_slice() {
                        moved.push((from.clone(), to.clone()));
                        found.extend(to.clone().map(|to| (at, to)));
                    }
                }
            }
        }
    }
    found.sort();
    let mut files: Vec<(String, String)> = Vec::new();
    for (_, file) in found {
        let is_new = files.iter().all(|(_, known)| *known != file);
        if is_new && is_below(&file) && !moved.iter().any(|(from, _)| *from == file) && files.len() < MOST_FILES {
            files.push((unused_key(&file, &files), file));
        }
    }
    files
}

/// The arguments of a call, split at its commas.
fn arguments(text: &str) -> Vec<String> {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    let mut parts = vec![String::new()];
    for c in text.chars().take(LONGEST_CALL) {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') if depth == 0 => return parts,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, ',') if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            (None, _) => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    // The call has no end.
    Vec::new()
}

/// The text of an argument that is nothing but a plain string, whatever its keyword.
fn plain(argument: &str) -> Option<String> {
    let argument = argument.trim();
    let value = match argument.split_once('=') {
        Some((name, value)) if name.trim().chars().all(|c| c.is_alphanumeric() || c == '_') => value.trim(),
        _ => argument,
    };
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = value.strip_prefix(quote)?.strip_suffix(quote)?;
    let is_plain = !inner.is_empty() && !inner.contains([quote, '\\', '{', '}', '\n', '*']);
    is_plain.then(|| inner.to_owned())
}

fn with_extension(name: String, extension: Option<&str>) -> String {
    match extension {
        Some(extension) if !name.ends_with(&format!(".{extension}")) => format!("{name}.{extension}"),
        _ => name,
    }
}

fn is_below(file: &str) -> bool {
    stepwell_base::names::is_below(Path::new(file)) && !file.ends_with(".tmp") && !file.contains(' ')
}

fn unused_key(file: &str, files: &[(String, String)]) -> String {
    let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let plain: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(40).collect();
    let trimmed = plain.trim_matches('_');
    let key = if trimmed.is_empty() { "result" } else { trimmed };
    let is_free = |key: &str| files.iter().all(|(known, _)| known != key);
    let numbered = (2..).map(|number| format!("{key}_{number}"));
    std::iter::once(key.to_owned()).chain(numbered).find(|key| is_free(key)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(script: &str) -> Vec<String> {
        written_files(script).into_iter().map(|(key, file)| format!("{key}={file}")).collect()
    }

    #[test]
    fn plain_names_in_writing_calls_are_found() {
        let script = r#"
import torch, os
# torch.save(m, "comment.pt")
state = torch.load("last.pt")
torch.save({"model": m.state_dict(), "step": 3}, "last.tmp"); os.replace("last.tmp", "last.pt")
with open("log.csv", "w") as f: f.write("x,y\n")
rows = open("data.csv").read(); open("in.bin", mode="rb")
np.save("loss", losses)
table.to_csv("sub/table.csv", index=False)
torch.save(m.state_dict(), 'model.pt')
torch.save(m.state_dict(), "model.bin")
"#;
        assert_eq!(
            files(script),
            [
                "last=last.pt",
                "log=log.csv",
                "loss=loss.npy",
                "table=sub/table.csv",
                "model=model.pt",
                "model_2=model.bin"
            ]
        );
    }

    #[test]
    fn names_that_only_the_script_knows_are_left_alone() {
        for script in [
            "torch.save(m, path)",
            "torch.save(m, f\"model-{seed}.pt\")",
            "torch.save(m, os.path.join(out, \"model.pt\"))",
            "torch.save(m, out + \"model.pt\")",
            "open(\"/tmp/x\", \"w\")",
            "open(\"../x\", \"w\")",
            "reopen(\"x\", \"w\")",
            "torch.save(m, \"model.pt\"",
        ] {
            assert_eq!(files(script), Vec::<String>::new(), "{script}");
        }
    }
}
