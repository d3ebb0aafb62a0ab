//! The grammar of the command line, and its errors, which obey the requested output format like all others.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, Parser};

use crate::arguments::GlobalArgs;
use crate::error::{CliError, Report, clap_text};
use crate::exit_code::Exit;
use crate::guess;
use crate::verbs::Verb;
use crate::view::output::Output;
use stepwell_base::shell::quote;
use stepwell_config::{self, ColorChoice, Origin, OutputFormat, Partial};

/// Most params that are taken from flags; a command line with more is a mistake.
const MOST_PARAMS: usize = 64;

/// Run durable workflows: from raw text to a trained, exported language model, or any other long pipeline.
///
/// Kill it at any moment: `resume` continues to the same bits. Standard output has the data, standard error everything
/// else.
#[derive(Parser, Debug)]
#[command(name = "stepwell", version, propagate_version = true, infer_subcommands = false)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Returns the arguments, or the exit code after printing their error, the help or the version.
pub fn read() -> Result<Cli, ExitCode> {
    let mut words = guess::in_full(&Cli::command(), std::env::args_os().collect());
    parse(&mut words).map_err(|error| {
        let form = form(asked(&words));
        let out = Output::plain(form);
        if error.use_stderr() {
            out.error(&usage(error, &words, form));
            return Exit::Usage.into();
        }
        match out.raw(clap_text(&error, out.document_color()).as_bytes()) {
            Ok(_) => Exit::Ok.into(),
            Err(error) => {
                out.error(&error);
                error.kind.exit().into()
            }
        }
    })
}

/// Parses the words, and sets params that stand there as flags.
fn parse(words: &mut Vec<OsString>) -> Result<Cli, clap::Error> {
    let mut remarks: Vec<String> = Vec::new();
    loop {
        match Cli::try_parse_from(&*words) {
            Err(error) => match param_set(&error, words).filter(|_| remarks.len() < MOST_PARAMS) {
                Some(found) => {
                    *words = found.words;
                    remarks.push(found.remark);
                }
                None => return Err(error),
            },
            Ok(cli) => {
                let out = Output::new(OutputFormat::Human, cli.global.quiet, ColorChoice::Auto, None);
                remarks.iter().for_each(|remark| out.message(remark));
                return Ok(cli);
            }
        }
    }
}

/// The command line with a param in place of the first unknown flag, if there is such a param.
fn param_set(error: &clap::Error, words: &[OsString]) -> Option<guess::ParamSet> {
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else { return None };
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let mut root = Cli::command();
    root.build();
    let Named { command, behind, .. } = named(&root, words);
    guess::set_param(command, (words, behind), unknown, &guess::State::of(words))
}

/// The state directory that commands in hints have to name.
fn state_dir(words: &[OsString]) -> Option<PathBuf> {
    let settings = || stepwell_config::load(Partial::default()).ok().map(|settings| settings.state_dir);
    let chosen = || settings().filter(|found| found.origin != Origin::Default).map(|found| found.value);
    guess::named(words).or_else(chosen)
}

/// The output format to use when the settings may be unreadable.
pub fn form(flag: Option<OutputFormat>) -> OutputFormat {
    let variable = || std::env::var("STEPWELL_OUTPUT").ok()?.parse().ok();
    let settings = || stepwell_config::load(Partial::default()).ok().map(|settings| settings.output.value);
    flag.or_else(settings).or_else(variable).unwrap_or(OutputFormat::Human)
}

/// Finds the value of `--output` in arguments that do not parse.
fn asked(words: &[OsString]) -> Option<OutputFormat> {
    let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let options = words.split(|word| *word == "--").next().unwrap_or_default();
    let of = |index: usize, word: &str| match word {
        "--output" | "--format" => options.get(index + 1)?.parse().ok(),
        _ => word.strip_prefix("--output=").or_else(|| word.strip_prefix("--format="))?.parse().ok(),
    };
    options.iter().enumerate().filter_map(|(index, word)| of(index, word)).next_back()
}

fn usage(error: clap::Error, words: &[OsString], form: OutputFormat) -> CliError {
    let plain = error.render().to_string();
    let found = CliError::usage(message(error.kind(), &plain, words));
    if let Some(answer) = answer(&error, words) {
        let out = Output::new(form, false, ColorChoice::Auto, state_dir(words));
        return found.hint(out.pasteable(&answer));
    }
    // The report for people already contains the hints.
    let found = if form == OutputFormat::Json { found.hints(hints(&plain, words)) } else { found };
    match error.kind() {
        ErrorKind::InvalidUtf8 => found,
        _ => found.reported(Report::Arguments(error)),
    }
}

/// The first paragraph of clap's message, on one line.
fn message(kind: ErrorKind, plain: &str, words: &[OsString]) -> String {
    match kind {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing".to_owned(),
        ErrorKind::InvalidUtf8 => {
            let wrong = words.iter().map(OsString::as_os_str).filter(|word| word.to_str().is_none());
            format!(
                "{} is not UTF-8 text, which this argument has to be",
                wrong.map(quote).collect::<Vec<_>>().join(", ")
            )
        }
        _ => {
            let first = plain.split("\n\n").next().unwrap_or(plain);
            let lines: Vec<&str> = first.lines().map(str::trim).collect();
            lines.join(" ").trim_start_matches("error: ").to_owned()
        }
    }
}

/// Clap's tips, and the command that describes the arguments.
fn hints(plain: &str, words: &[OsString]) -> Vec<String> {
    let tips = plain.lines().filter_map(|line| line.trim().strip_prefix("tip: ")).map(str::to_owned);
    tips.chain([format!("`{} --help` describes the arguments", verb(words))]).collect()
}

/// Answers a wrong guess with what was meant; `None` if nobody knows.
pub(crate) fn answer(error: &clap::Error, words: &[OsString]) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let mut root = Cli::command();
    root.build();
    let Named { command, path, behind } = named(&root, words);
    let state = guess::State::of(words);
    let behind: Vec<&str> = words.iter().skip(behind).filter_map(|word| word.to_str()).collect();
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = text(ContextKind::InvalidSubcommand)?;
            let behind: Vec<&str> = behind.iter().copied().skip_while(|other| *other != word).skip(1).collect();
            guess::verb(&path, word, &behind, &state)
        }
        ErrorKind::UnknownArgument => {
            let unknown = text(ContextKind::InvalidArg)?;
            if unknown.starts_with('-') {
                return guess::flag(command, &path, unknown, &behind, &state);
            }
            let params = guess::assignment(unknown).or_else(|| guess::set_without_sign(&behind));
            params.or_else(|| guess::extra_word(&path, unknown, &behind, &state))
        }
        ErrorKind::ValueValidation if text(ContextKind::InvalidArg)?.starts_with("--set") => {
            guess::set_without_sign(&behind)
        }
        ErrorKind::InvalidValue if text(ContextKind::InvalidArg)?.starts_with("--output") => {
            guess::output_form(&path, text(ContextKind::InvalidValue)?, &behind)
        }
        ErrorKind::MissingRequiredArgument if path == ["schedule", "add"] => guess::schedule(&behind),
        ErrorKind::MissingRequiredArgument if path == ["fork"] => guess::fork(&behind, &state),
        _ => None,
    }
}

/// The words that name a verb, such as `stepwell artifact ls`.
fn verb(words: &[OsString]) -> String {
    let root = Cli::command();
    let Named { path, .. } = named(&root, words);
    std::iter::once("stepwell").chain(path).collect::<Vec<_>>().join(" ")
}

/// The command that words name.
struct Named<'a> {
    command: &'a Command,
    /// The names on the way to it.
    path: Vec<&'a str>,
    /// Index of the word behind the last of them.
    behind: usize,
}

fn named<'a>(root: &'a Command, words: &[OsString]) -> Named<'a> {
    let mut named = Named { command: root, path: Vec::new(), behind: 1 };
    for (index, word) in words.iter().enumerate().skip(1) {
        if let Some(found) = word.to_str().and_then(|word| named.command.find_subcommand(word)) {
            named.command = found;
            named.path.push(found.get_name());
            named.behind = index + 1;
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        std::iter::once("stepwell").chain(text.split(' ')).map(OsString::from).collect()
    }

    fn refused(text: &str) -> CliError {
        let error = Cli::try_parse_from(words(text)).unwrap_err();
        usage(error, &words(text), OutputFormat::Json)
    }

    #[test]
    fn the_form_is_known_even_when_the_arguments_are_wrong() {
        assert_eq!(asked(&words("run x --nmae y --output json")), Some(OutputFormat::Json));
        assert_eq!(asked(&words("--output=json nonsense")), Some(OutputFormat::Json));
        assert_eq!(asked(&words("run x -- --output json")), None);
        assert_eq!(asked(&words("run x --output jsn")), None);
        assert_eq!(asked(&words("run x --output")), None);
    }

    #[test]
    fn a_wrong_argument_is_one_sentence_and_hints() {
        let error = refused("run x --nmae y");
        assert_eq!(error.message(), "unexpected argument '--nmae' found");
        assert!(error.hints[0].contains("--name"), "{:?}", error.hints);
        assert_eq!(error.hints[1], "`stepwell run --help` describes the arguments");
        let error = refused("run x --name ../evil");
        assert_eq!(error.message(), "invalid value '../evil' for '--name <NAME>': a name cannot hold `/`");
        assert_eq!(refused("run").hints, ["`stepwell run --help` describes the arguments"]);
        let hints = refused("--state-dir x artifact get --nonsense").hints;
        assert_eq!(hints.last().unwrap(), "`stepwell artifact get --help` describes the arguments");
    }

    #[test]
    fn text_that_begins_with_a_dash_is_text() {
        for text in [
            "pause r --reason -later",
            "approve r s --comment --no",
            "approve r s --by -me",
            "signal r go --payload -5",
            "run x --idempotency-key -k",
            "schedule add s --cron - x",
            #[cfg(feature = "train")]
            "generate last -p -item",
        ] {
            assert!(Cli::try_parse_from(words(text)).is_ok(), "{text}");
        }
    }
}
