//! Every command in README.md and the pages of `specs/` parses.

use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;

use crate::Cli;

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let specs = std::fs::read_dir(root.join("specs")).unwrap().map(|entry| entry.unwrap().path());
    // The reference is generated from the command line itself.
    let written =
        specs.filter(|path| path.extension().is_some_and(|it| it == "md") && !path.ends_with("cli-reference.md"));
    written.chain([root.join("README.md"), root.join("CONTRIBUTING.md")]).collect()
}

/// The commands of a page: lines of code blocks, and code within text.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, part) in page.split("```").enumerate() {
        if index % 2 == 1 {
            // A backslash joins two lines.
            let block = part.replace("\\\n", " ");
            let lines = block.lines().map(|line| line.trim().trim_start_matches("$ "));
            found.extend(lines.filter(|line| line.starts_with("stepwell ")).map(str::to_owned));
        } else {
            let code =
                part.split('`').skip(1).step_by(2).map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "));
            found.extend(code.filter(|code| code.starts_with("stepwell ")));
        }
    }
    found
}

/// The words of a command up to what a shell would do with it; `None` for the description of many commands.
fn words(command: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut open = None;
    let mut word: Option<String> = None;
    for c in command.chars() {
        match (open, c) {
            (Some(quote), c) if c == quote => open = None,
            (None, '\'' | '"') => {
                open = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    let end = words
        .iter()
        .position(|word| matches!(word.as_str(), "|" | "||" | "&&" | "&" | ";" | ">" | ">>") || word.starts_with('#'));
    words.truncate(end.unwrap_or(words.len()));
    words.retain(|word| !word.starts_with("2>") && !word.starts_with('>'));
    let describes = |word: &String| {
        word.contains('[') && !word.contains('=') || word.contains('|') || *word == "..." || *word == "VERB"
    };
    let is_plain = !words.iter().skip(1).take(2).any(describes)
        && !words.iter().any(|word| word == "..." || word.starts_with('['));
    is_plain.then_some(words)
}

#[test]
fn commands_in_the_pages_parse() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for path in pages() {
        let page = std::fs::read_to_string(&path).unwrap();
        for command in commands(&page) {
            let Some(words) = words(&command) else { continue };
            let words: Vec<String> =
                words.into_iter().map(|word| if word == "N" { "1".to_owned() } else { word }).collect();
            count += 1;
            // Text may name a verb without its arguments.
            if let Err(error) = Cli::try_parse_from(&words)
                && error.use_stderr()
                && !(words.len() < 4 && error.kind() == ErrorKind::MissingRequiredArgument)
            {
                wrong.push(format!("{}: {command}: {}", path.display(), error.kind()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 30, "{count} commands");
}

#[test]
fn commands_are_read_as_a_shell_reads_them() {
    let page = "Text `stepwell show` and `stepwell run [FILE]`.\n\n```sh\nstepwell run x.toml -S 'a=[1, 2]' 2>&1 | head   # the rest\n\
        echo no\n$ stepwell list \\\n  --all\n```\n`stepwell VERB --help`";
    let found = commands(page);
    assert_eq!(found.len(), 5, "{found:?}");
    let read: Vec<_> = found.iter().filter_map(|command| words(command)).collect();
    let expected = [
        vec!["stepwell", "show"],
        vec!["stepwell", "run", "x.toml", "-S", "a=[1, 2]"],
        vec!["stepwell", "list", "--all"],
    ];
    assert_eq!(read, expected);
}
