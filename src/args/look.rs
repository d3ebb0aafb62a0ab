//! Arguments of verbs that look at runs.

use clap::Args;

#[derive(Args, Debug, Default)]
pub struct ListArgs {
    /// Also list the runs that ended before the newest 20
    #[arg(long)]
    pub all: bool,
}

#[derive(Args, Debug)]
pub struct ShowArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// List every child of large fan-outs instead of counting them, and all values and outputs
    #[arg(long)]
    pub all: bool,
}

#[derive(Args, Debug)]
pub struct LogsArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// Only this step
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
    /// Continue to print until the run ends
    #[arg(short, long)]
    pub follow: bool,
}

#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// Only this step
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
}
