//! Arguments that several verbs share, and parsers of their values.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use stepwell_base::names::{InvalidName, check_label};
use stepwell_config::{ColorChoice, OutputFormat};

#[derive(Args, Clone, Debug, Default)]
pub struct GlobalArgs {
    /// Directory of runs, artifacts and the database [default: ./state]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Directory of exported models [default: `exports` next to the state directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub export_dir: Option<PathBuf>,
    /// Form of standard output: text for people, or versioned JSON for scripts
    #[arg(long, alias = "format", global = true, value_name = "FORM", value_parser = PossibleValuesParser::new(OutputFormat::NAMES).try_map(|name| name.parse::<OutputFormat>()))]
    pub output: Option<OutputFormat>,
    /// When to use colours on standard error
    #[arg(long, global = true, value_name = "WHEN", value_parser = PossibleValuesParser::new(ColorChoice::NAMES).try_map(|name| name.parse::<ColorChoice>()))]
    pub color: Option<ColorChoice>,
    /// Print errors only
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

#[derive(Args, Debug)]
pub struct OptionalRun {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
}

#[derive(Args, Clone, Copy, Debug, Default)]
pub struct LogArgs {
    /// Show everything that running commands print
    #[arg(long)]
    pub logs: bool,
}

#[derive(Args, Clone, Debug)]
pub struct Params {
    /// Set a parameter of the workflow (repeatable; `a.b=value` reaches into tables)
    #[arg(short = 'S', long = "set", aliases = ["param", "set-param"], value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
}

/// Parses a text that is stored and shown. An empty one is refused, because it most often comes from an unset variable.
pub fn label(text: &str) -> Result<String, InvalidName> {
    check_label(text).map(|()| text.to_owned())
}

/// Parses `NAME=VALUE`.
fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not of the form NAME=VALUE")),
    }
}
