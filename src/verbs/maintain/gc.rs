//! `stepwell gc`

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::verbs::look::list::full_value_name;
use crate::view::removal::{MOST_RUNS, Removal};
use stepwell_engine::{CleanUp, Sweep, clean_up};
use stepwell_run::retention::{Goal, KeepBest, Retention};

/// Remove files that nothing refers to, and runs that the retention policy does not keep
///
/// A removed run keeps its row, its tags and its events; its outputs, checkpoints and logs go. Runs that have not ended
/// and runs that `keep` holds stay. Exported folders stay too. Failed and canceled runs go before those that succeeded.
/// While an engine runs, the engine does it, and this command waits.
#[derive(Args, Debug, Default)]
pub struct GcArgs {
    /// Only print what would be removed
    #[arg(long, short_alias = 'n')]
    pub dry_run: bool,
    /// Remove all but N ended runs of each workflow: the newest that succeeded, then the newest of the others [default:
    /// retention.keep_runs]
    #[arg(long, aliases = ["keep", "keep-last"], value_name = "N")]
    pub keep_runs: Option<u64>,
    /// Remove runs that ended more than D days ago; of several rules, one that keeps a run is enough [default:
    /// retention.keep_days]
    #[arg(long, alias = "days", value_name = "D")]
    pub keep_days: Option<u64>,
    /// Keep the N succeeded runs of each workflow with the best value of `--by` [default: retention.keep_best]
    #[arg(long, alias = "best", value_name = "N")]
    pub keep_best: Option<u64>,
    /// The value of `--keep-best`, as STEP.VALUE, such as `eval.bits_per_byte`
    #[arg(long, aliases = ["metric", "sort"], value_name = "STEP.VALUE")]
    pub by: Option<String>,
    /// `min`: lower values of `--by` are better; `max`: higher ones [default: min]
    #[arg(long, aliases = ["mode", "direction"], value_name = "GOAL", value_parser = PossibleValuesParser::new(Goal::NAMES).try_map(|name| name.parse::<Goal>()))]
    pub goal: Option<Goal>,
    /// List every removed run, not only the first 20
    #[arg(long)]
    pub all: bool,
}

pub fn gc(session: &Session, args: &GcArgs) -> Result<Exit, CliError> {
    let settings = &session.settings;
    let retention = Retention {
        keep_runs: args.keep_runs.or(settings.keep_runs.value),
        keep_days: args.keep_days.or(settings.keep_days.value),
        keep_best: keep_best(session, args, settings.keep_best.value.as_ref())?,
    };
    if !retention.has_rules() {
        session.out.message(
            "note: no rule says which runs go, so all stay: `--keep-runs N`, `--keep-days D` or `--keep-best N --by \
             STEP.VALUE` sets one, and so do `keep_runs`, `keep_days` and `keep_best` below `[retention]` in `stepwell.toml`",
        );
    }
    let sweep = if args.dry_run { Sweep::DryRun } else { Sweep::Remove };
    let rules = rules(&retention);
    let collected = clean_up(session.state_dir(), &CleanUp::Collect { retention }, sweep)?;
    let most = if args.all { usize::MAX } else { MOST_RUNS };
    Removal { collected: &collected, sweep, most, all: "--all", rules }.report(session)?;
    Ok(Exit::Ok)
}

/// What stays, in words: rules count for each workflow alone, which few expect.
fn rules(retention: &Retention) -> Option<String> {
    let Retention { keep_runs, keep_days, keep_best } = retention;
    let parts = [
        keep_runs.map(|count| format!("the newest {count}")),
        keep_best.as_ref().map(|KeepBest { count, by, goal }| {
            let end = match goal {
                Goal::Min => "lowest",
                Goal::Max => "highest",
            };
            format!("the {count} with the {end} `{by}`")
        }),
        keep_days.map(|days| format!("those of the last {days} days")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("of the ended runs of each workflow stay {}", parts.join(", and ")))
}

/// The rule of the settings with what the flags change.
fn keep_best(session: &Session, args: &GcArgs, settings: Option<&KeepBest>) -> Result<Option<KeepBest>, CliError> {
    if args.keep_best.is_none() && args.by.is_none() && args.goal.is_none() {
        return Ok(settings.cloned());
    }
    let by = match &args.by {
        Some(by) => Some(full_value_name(&session.reader()?, "--by", by)?),
        None => None,
    };
    let by = by.or_else(|| settings.map(|rule| rule.by.clone()));
    let count = args.keep_best.or_else(|| settings.map(|rule| rule.count));
    match (by, count) {
        (Some(by), Some(count)) => {
            let goal = args.goal.or_else(|| settings.filter(|rule| rule.by == by).map(|rule| rule.goal));
            Ok(Some(KeepBest { count, by, goal: goal.unwrap_or(Goal::Min) }))
        }
        (None, _) => Err(CliError::usage("`--keep-best` needs the value that it compares")
            .hint("for example `stepwell gc --keep-best 3 --by eval.bits_per_byte --dry-run`")),
        (Some(by), None) => Err(CliError::usage("`--by` needs a number of runs to keep")
            .hint(format!("for example `stepwell gc --keep-best 3 --by {by} --dry-run`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_told_in_words() {
        assert_eq!(rules(&Retention::default()), None);
        let best = KeepBest { count: 1, by: "train.loss".to_owned(), goal: Goal::Min };
        let all = Retention { keep_runs: Some(3), keep_days: Some(7), keep_best: Some(best) };
        assert_eq!(
            rules(&all).unwrap(),
            "of the ended runs of each workflow stay the newest 3, and the 1 with the lowest `train.loss`, and those of the last 7 days"
        );
    }
}
