//! `stepwell compare RUN RUN...`

pub(super) mod collect;
#[cfg(test)]
mod tests;
mod text;

use clap::Args;
use serde_json::{Map, Value, json};

use super::show::{ShowArgs, show};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::extent::Extent;
use crate::view::output::run_json;
use collect::{Compared, Figure, collect};
use stepwell_base::shell;

/// Most runs to compare at once.
const MOST_RUNS: usize = 50;

/// Compare runs: changed parameters, values, and the last training metrics
///
/// Two to four runs are columns, more are rows. Of one run, prints what `show` prints. `*` marks the best value where the step kind says which way is better.
#[derive(Args, Debug)]
pub struct CompareArgs {
    /// Ids, unique prefixes of ids, names, or `last`
    #[arg(value_name = "RUN", required = true, num_args = 1..)]
    pub runs: Vec<String>,
    /// Also show parameters that are equal, and all values
    #[arg(long)]
    pub all: bool,
}

pub fn compare(session: &Session, args: &CompareArgs) -> Result<Exit, CliError> {
    if args.runs.len() > MOST_RUNS {
        return Err(CliError::usage(format!("{} runs are too many: `compare` takes {MOST_RUNS}", args.runs.len()))
            .hint("`stepwell list --sort STEP.VALUE -S PARAM` lists any number of runs"));
    }
    if let ([one], false) = (args.runs.as_slice(), session.out.is_json()) {
        let hint = shell::stepwell("compare", [one, "RUN"]);
        session.out.message(&format!("one run has nothing to be compared with: {hint} takes two or more"));
        return show(session, &ShowArgs { run: one.clone(), step: None, all: args.all });
    }
    let reader = session.reader()?;
    let ids = args.runs.iter().map(|run| reader.resolve_run(run)).collect::<Result<Vec<_>, _>>()?;
    let compared = collect(&reader, &ids)?;
    let extent = if args.all { Extent::All } else { Extent::Screen };
    session.out.document(&text::text(&compared, extent), json(&compared))?;
    Ok(Exit::Ok)
}

fn json(compared: &Compared) -> Value {
    let runs: Vec<Value> = compared
        .runs
        .iter()
        .map(|side| {
            let mut fields = run_json(&side.run);
            fields["params"] = json!(side.params.params);
            fields["changed_params"] = json!(side.params.changed());
            fields["seconds"] = json!(side.elapsed.map(|time| time.as_secs_f64()));
            fields["work_seconds"] = json!(side.time.map(|time| time.as_secs_f64()));
            fields
        })
        .collect();
    let figures = |figures: &[Figure]| -> Vec<Value> {
        let one = |figure: &Figure| {
            let better = figure.better.map(|better| better.as_str());
            json!({ "step": figure.step, "name": figure.name, "better": better, "values": figure.values })
        };
        figures.iter().map(one).collect()
    };
    let params: Map<String, Value> =
        compared.differing_params().into_iter().map(|(name, values)| (name, json!(values))).collect();
    json!({
        "runs": runs,
        "differing_params": params,
        "values": figures(&compared.values),
        "metrics": figures(&compared.metrics),
    })
}
