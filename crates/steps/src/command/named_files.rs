//! Finds files that a command line names. The program may read any of them, and an edited script must not give old
//! results, so all that exist count.

use std::path::{Path, PathBuf};

use super::arguments::Arguments;

/// Maximum size of a file that counts. A larger one is data and slow to read: it belongs in `inputs`.
pub(super) const LARGEST: u64 = 64 << 20;

/// Returns the files that count for the step's key, without duplicates.
pub(super) fn counted(arguments: &Arguments) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for path in named(arguments) {
        let counts = path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LARGEST);
        if counts && !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// Returns the paths that elements of `argv` may stand for, resolved as the program resolves them. Excludes declared
/// outputs.
pub(super) fn named(arguments: &Arguments) -> impl Iterator<Item = PathBuf> {
    let words = arguments.argv.iter().enumerate().filter(|_| arguments.argv_files.unwrap_or(true));
    let texts = words.filter_map(|(index, word)| Some((index, word.as_str()?)));
    texts.filter_map(|(index, text)| {
        // Matches `--config=FILE`; any other option does not name a file.
        let name = if text.starts_with('-') { text.split_once('=')?.1 } else { text };
        // A program without a slash is looked up in PATH.
        if name.is_empty() || name.contains(['\0', '\n']) || index == 0 && !name.contains('/') {
            return None;
        }
        let path = match (&arguments.cwd, Path::new(name)) {
            (_, path) if path.is_absolute() => path.to_owned(),
            (Some(folder), path) => folder.join(path),
            // The step's own folder starts empty, so its content comes from the program.
            (None, _) => return None,
        };
        let outputs = arguments.outputs.values().map(|output| place(arguments, output));
        (!outputs.into_iter().any(|output| path.starts_with(output))).then_some(path)
    })
}

fn place(arguments: &Arguments, output: &Path) -> PathBuf {
    arguments.cwd.as_ref().map_or_else(|| output.to_owned(), |folder| folder.join(output))
}

/// True if a declared output is this path or a folder above it.
pub(super) fn holds_output(arguments: &Arguments, path: &Path) -> bool {
    arguments.outputs.values().any(|output| place(arguments, output).starts_with(path))
}

/// True if one of the inputs is this file or a folder above it.
pub(super) fn covers(inputs: &[PathBuf], path: &Path) -> bool {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    inputs.iter().any(|input| absolute(path).starts_with(absolute(input)))
}
