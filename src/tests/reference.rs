//! Compares `specs/cli-reference.md` with the command line. `STEPWELL_BLESS=1` rewrites the page.

use clap::{Arg, Command, CommandFactory};

use crate::Cli;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/specs/cli-reference.md");

#[test]
fn the_reference_is_that_of_the_command_line() {
    let page = page();
    if std::env::var_os("STEPWELL_BLESS").is_some() {
        std::fs::write(PAGE, &page).unwrap();
        return;
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    let line = written.lines().zip(page.lines()).position(|(written, page)| written != page);
    let line = line.unwrap_or(written.lines().count().min(page.lines().count()));
    let rewrite = "`STEPWELL_BLESS=1 cargo test --lib reference` rewrites specs/cli-reference.md";
    assert!(written == page, "line {} differs: {:?}; {rewrite}", line + 1, page.lines().nth(line));
}

#[test]
fn every_verb_and_every_argument_has_help() {
    let mut missing = Vec::new();
    visit(&command(), &mut |path, command| {
        if command.get_about().is_none() {
            missing.push(path.to_owned());
        }
        for argument in own_arguments(command).filter(|argument| argument.get_help().is_none()) {
            missing.push(format!("{path} {}", argument.get_id()));
        }
    });
    assert!(missing.is_empty(), "{missing:?}");
}

fn command() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// Calls `see` for a command and the commands below it, in the order of `--help`.
fn visit(command: &Command, see: &mut impl FnMut(&str, &Command)) {
    fn descend(path: &str, command: &Command, see: &mut impl FnMut(&str, &Command)) {
        see(path, command);
        for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help") {
            descend(&format!("{path} {}", below.get_name()), below, see);
        }
    }
    descend("stepwell", command, see);
}

fn own_arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    let built_in = |argument: &Arg| matches!(argument.get_id().as_str(), "help" | "version");
    command.get_arguments().filter(move |argument| {
        !argument.is_hide_set()
            && !built_in(argument)
            && (command.get_name() == "stepwell" || !argument.is_global_set())
    })
}

fn page() -> String {
    let mut text = String::from(
        "# Command-line reference\n\n<!-- Generated from the verbs in src/verbs. `STEPWELL_BLESS=1 cargo test --lib reference` rewrites it. -->\n\n\
         [cli.md](cli.md) describes output, exit codes and names. The options of `stepwell` itself work with every verb.\n",
    );
    visit(&command(), &mut |path, command| text.push_str(&section(path, command)));
    text
}

fn section(path: &str, command: &Command) -> String {
    let level = "#".repeat(1 + path.split(' ').count().min(2));
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let mut text = format!("\n{level} `{path}`\n\n{}\n\n```\n{usage}\n```\n", about.trim());
    let aliases: Vec<String> = command.get_all_aliases().map(|alias| format!("`{alias}`")).collect();
    if !aliases.is_empty() {
        text.push_str(&format!("\nAlso called {}.\n", aliases.join(", ")));
    }
    let rows: Vec<String> = own_arguments(command).map(row).collect();
    if !rows.is_empty() {
        text.push_str(&format!("\n| argument | meaning |\n|---|---|\n{}", rows.concat()));
    }
    text
}

fn row(argument: &Arg) -> String {
    let takes_values = argument.get_action().takes_values();
    let names = argument.get_value_names().filter(|_| takes_values).unwrap_or_default();
    let names: Vec<String> = names.iter().map(|name| format!("<{name}>")).collect();
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let flags: Vec<String> = short.into_iter().chain(long).collect();
    let argument_text = match (flags.is_empty(), names.is_empty()) {
        (true, _) => names.join(" "),
        (false, true) => flags.join(", "),
        (false, false) => format!("{} {}", flags.join(", "), names.join(" ")),
    };
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut notes = String::new();
    let values = argument.get_possible_values();
    if takes_values && !values.is_empty() {
        let values: Vec<String> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        notes.push_str(&format!("; one of {}", values.join(", ")));
    }
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if takes_values && !defaults.is_empty() && defaults != ["``"] {
        notes.push_str(&format!("; default {}", defaults.join(", ")));
    }
    format!("| `{argument_text}` | {}{notes} |\n", help.replace('|', "\\|"))
}
