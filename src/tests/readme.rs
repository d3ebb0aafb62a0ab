//! Compares the tables of verbs in README.md with the command line.

use std::collections::BTreeSet;

use clap::{Command, CommandFactory};

use crate::Cli;

/// The first cells of the tables under `## Commands`.
fn cells() -> Vec<String> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, section) = readme.split_once("\n## Commands\n").expect("README.md has a section `Commands`");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.replace("\\|", "/").split('|').nth(1).unwrap_or_default().to_owned()).collect()
}

fn visible(command: &Command) -> BTreeSet<String> {
    let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
    visible.map(|command| command.get_name().to_owned()).collect()
}

#[test]
fn the_tables_name_every_verb_once() {
    let mut named = Vec::new();
    for cell in cells() {
        named.extend(cell.split('`').skip(1).step_by(2).filter_map(|code| code.split(' ').next()).map(str::to_owned));
    }
    let known = visible(&Cli::command());
    assert_eq!(named.iter().cloned().collect::<BTreeSet<_>>(), known);
    assert_eq!(named.len(), known.len(), "a verb is named twice: {named:?}");
}

#[test]
fn the_verbs_below_a_verb_are_those_of_the_command_line() {
    let root = Cli::command();
    for cell in cells() {
        for code in cell.split('`').skip(1).step_by(2) {
            let mut words = code.split(' ');
            let verb = words.next().and_then(|verb| root.find_subcommand(verb)).expect("a verb");
            let Some(second) = words.next().filter(|_| verb.has_subcommands()) else { continue };
            let known = visible(verb);
            let named: BTreeSet<String> = second.split('/').map(str::to_owned).collect();
            if second.contains('/') {
                assert_eq!(named, known, "`{code}`");
            } else {
                let option = second.starts_with(['-', '[']);
                assert!(option || named.is_subset(&known), "`{code}` names no verb of {known:?}");
            }
        }
    }
}
