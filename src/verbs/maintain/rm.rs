//! `stepwell rm RUN...`

use clap::Args;

use super::chosen_runs::{Kept, chosen, failed};
use crate::error::{CliError, ErrorKind};
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::removal::{MOST_RUNS, Removal};
use stepwell_base::ids::RunId;
use stepwell_engine::{CleanUp, Collected, Sweep, clean_up};

/// Remove ended runs now, with their outputs, checkpoints and logs
///
/// Child runs of a run go with it. What another run still needs stays, for example a checkpoint that a fork continued
/// from or an output that was reused. Each run keeps its row and its events. While an engine runs, the engine does it, and
/// this command waits.
#[derive(Args, Debug)]
pub struct RmArgs {
    /// Ids, unique starts of ids, names, `last`, or patterns such as `'reg-*'`
    #[arg(value_name = "RUN", required_unless_present = "failed")]
    pub runs: Vec<String>,
    /// Remove all failed runs that are not kept
    #[arg(long, conflicts_with = "runs")]
    pub failed: bool,
    /// Only print what would be removed
    #[arg(long, short_alias = 'n')]
    pub dry_run: bool,
}

pub fn rm(session: &Session, args: &RmArgs) -> Result<Exit, CliError> {
    let sweep = if args.dry_run { Sweep::DryRun } else { Sweep::Remove };
    let collected = remove(session, args, sweep).map_err(|error| all_or_nothing(error, args))?;
    Removal { collected: &collected, sweep, most: MOST_RUNS, all: "--output json", rules: None }.report(session)?;
    Ok(Exit::Ok)
}

fn remove(session: &Session, args: &RmArgs, sweep: Sweep) -> Result<Collected, CliError> {
    let reader = session.reader()?;
    let runs: Vec<RunId> = match args.failed {
        true => failed(session, &reader)?,
        false => chosen(session, &reader, &args.runs, Kept::Spared)?,
    };
    drop(reader);
    Ok(clean_up(session.state_dir(), &CleanUp::Remove { runs }, sweep)?)
}

/// Says that a refusal of one of several runs is one of all.
fn all_or_nothing(error: CliError, args: &RmArgs) -> CliError {
    let is_refusal = matches!(
        error.kind,
        ErrorKind::NotFound | ErrorKind::Refused | ErrorKind::AmbiguousRun | ErrorKind::Locked | ErrorKind::Leased
    );
    match is_refusal && args.runs.len() > 1 && !args.dry_run {
        true => error.hint(format!("nothing was removed: `rm` removes all {} runs or none", args.runs.len())),
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::lab::{Lab, Sketch};
    use jiff::Timestamp;
    use stepwell_run::event::{Event, RunEvent};
    use stepwell_store::{Remark, Store};

    #[test]
    fn a_kept_run_saves_the_others_and_that_is_said() {
        let workflow = "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\n";
        let mut lab = Lab::new();
        let runs = ["one", "two"].map(|name| lab.run(Sketch { name, workflow, ..Sketch::default() }));
        for run in runs {
            lab.commit(run, 1, [Event::Run(RunEvent::Canceled)]);
        }
        lab.engine_dies();
        Store::open(lab.path()).unwrap().remark(runs[1], &Remark::Keep, Timestamp::now()).unwrap();
        let args = RmArgs { runs: vec!["one".to_owned(), "two".to_owned()], failed: false, dry_run: false };
        let error = rm(&lab.session(), &args).unwrap_err();
        let hints: Vec<String> = error.hints.iter().map(|hint| lab.session().out.pasteable(hint)).collect();
        assert_eq!(hints[0], format!("`stepwell keep --state-dir={} --undo two` lets it go", lab.path().display()));
        assert_eq!(hints[1], "nothing was removed: `rm` removes all 2 runs or none");
        assert!(lab.session().reader().unwrap().run(runs[0]).unwrap().pruned_at.is_none());
        let one = RmArgs { runs: vec!["two".to_owned()], failed: false, dry_run: false };
        assert_eq!(rm(&lab.session(), &one).unwrap_err().hints.len(), 1);
    }
}
