//! Files that a command line names. Without being told, nobody knows which of them the program reads; a script that
//! is edited must not give old results, so all that exist count.

use std::path::{Path, PathBuf};

use super::arguments::Arguments;

/// Bytes of a file that counts. A larger one is data, and to read it takes long: `inputs` is the place for it.
pub(super) const LARGEST: u64 = 64 << 20;

/// The files that count for the key of the step, each once.
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

/// Paths that elements of `argv` may stand for, as the program would find them. Declared outputs are none.
pub(super) fn named(arguments: &Arguments) -> impl Iterator<Item = PathBuf> {
    let words = arguments.argv.iter().enumerate().filter(|_| arguments.argv_files.unwrap_or(true));
    let texts = words.filter_map(|(index, word)| Some((index, word.as_str()?)));
    texts.filter_map(|(index, text)| {
        // `--config=FILE`; any other option is no file.
        let name = if text.starts_with('-') { text.split_once('=')?.1 } else { text };
        // A program without a slash is looked up in PATH.
        if name.is_empty() || name.contains(['\0', '\n']) || index == 0 && !name.contains('/') {
            return None;
        }
        let path = match (&arguments.cwd, Path::new(name)) {
            (_, path) if path.is_absolute() => path.to_owned(),
            (Some(folder), path) => folder.join(path),
            // The step's own folder is empty at first: what is there was written by the program.
            (None, _) => return None,
        };
        let outputs = arguments.outputs.values().map(|output| place(arguments, output));
        (!outputs.into_iter().any(|output| path.starts_with(output))).then_some(path)
    })
}

fn place(arguments: &Arguments, output: &Path) -> PathBuf {
    arguments.cwd.as_ref().map_or_else(|| output.to_owned(), |folder| folder.join(output))
}

/// True when a declared output is this path or lies below it.
pub(super) fn holds_output(arguments: &Arguments, path: &Path) -> bool {
    arguments.outputs.values().any(|output| place(arguments, output).starts_with(path))
}

/// True when one of the inputs is that file, or a folder that it lies in.
pub(super) fn covers(inputs: &[PathBuf], path: &Path) -> bool {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    inputs.iter().any(|input| absolute(path).starts_with(absolute(input)))
}
