//! The arguments of `list`.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use stepwell_base::remark::Tag;
use stepwell_run::status::RunStatus;

/// List runs, newest first, with what they wait for
///
/// Shows every run that has not ended and the newest 20 that have; `--all` shows the others too. `--sort` puts the best
/// runs first: `--sort eval.bits_per_byte -S learning_rate`.
#[derive(Args, Debug, Default)]
pub struct ListArgs {
    /// Also list the runs that ended before the newest 20
    #[arg(long, short_alias = 'a', alias = "full")]
    pub all: bool,
    /// Only runs with this status (repeatable)
    #[arg(long, alias = "state", value_name = "STATUS", value_delimiter = ',', value_parser = PossibleValuesParser::new(RunStatus::ALL.map(RunStatus::as_str)).try_map(|name| name.parse::<RunStatus>()))]
    pub status: Vec<RunStatus>,
    /// Only runs of this workflow
    #[arg(long, value_name = "NAME")]
    pub workflow: Option<String>,
    /// Only runs with this tag
    #[arg(long, alias = "label", value_name = "TAG")]
    pub tag: Option<Tag>,
    /// Only runs that `keep` protects
    #[arg(long)]
    pub kept: bool,
    /// Sort by a value (STEP.VALUE), a parameter, `time`, `created` or `name`. Values that improve downwards, such as
    /// losses of built-in steps, start with the lowest; runs without a value come last
    #[arg(long, aliases = ["sort-by", "order-by", "key"], value_name = "KEY")]
    pub sort: Option<String>,
    /// Reverse the order of `--sort`
    #[arg(long, short_alias = 'r', requires = "sort")]
    pub reverse: bool,
    /// Add a column with a parameter (repeatable; `a.b` reaches into tables)
    #[arg(short = 'S', long = "param", alias = "column", value_name = "PARAM")]
    pub params: Vec<String>,
    /// Most runs to show
    #[arg(short = 'n', long, aliases = ["limit", "count", "max", "head", "last"], value_name = "N")]
    pub number: Option<usize>,
}
