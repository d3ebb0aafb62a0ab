//! What a batch needs next. Pure: the batch and its runs, and the time.

use jiff::Timestamp;

use crate::openai::batches::{Fill, RunSeen, Situation};
use stepwell_base::ids::RunId;
use stepwell_run::status::RunStatus;
use stepwell_store::BatchOutcome;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// A run is at work, or nobody can do anything.
    Wait,
    /// Read the input, and judge every line.
    Check,
    /// Submit the run that answers the rows, or the one that fills what is left.
    Submit(Fill),
    /// Cancel the run, because the batch ends early.
    Stop(RunId),
    /// Store how it ended, with the files that this run made, if any.
    End(BatchOutcome, Option<RunId>),
}

pub fn next(situation: &Situation, now: Timestamp) -> Next {
    let Situation { batch, run, closing } = situation;
    if batch.ending.is_some() {
        return Next::Wait;
    }
    let early = early(situation, now);
    if let Some(closing) = closing {
        return after_closing(closing, early.unwrap_or(Fill::Cancelled));
    }
    match (run, early) {
        // Nothing was read yet: there are no rows to fill.
        (None, Some(fill)) if batch.checked.is_none() => Next::End(outcome(fill), None),
        (None, Some(fill)) => Next::Submit(fill),
        (None, None) if batch.checked.is_none() => Next::Check,
        (None, None) => Next::Submit(Fill::Answers),
        (Some(run), early) => after_run(run, early),
    }
}

/// Why the batch ends before its rows are done. A wish to cancel it is never taken back.
fn early(situation: &Situation, now: Timestamp) -> Option<Fill> {
    match &situation.batch {
        batch if batch.cancelling_at.is_some() => Some(Fill::Cancelled),
        batch if now >= batch.expires_at => Some(Fill::Expired),
        _ => None,
    }
}

fn after_run(run: &RunSeen, early: Option<Fill>) -> Next {
    match (run.status, early) {
        // All rows were done before anybody could stop the run. A batch that was asked to cancel is cancelled all the same.
        (RunStatus::Succeeded, Some(Fill::Cancelled)) => Next::End(BatchOutcome::Cancelled, Some(run.id)),
        (RunStatus::Succeeded, _) => Next::End(BatchOutcome::Completed, Some(run.id)),
        // A run that is not stopped from here was cancelled by a person.
        (RunStatus::Canceled, early) => Next::Submit(early.unwrap_or(Fill::Cancelled)),
        (RunStatus::Failed, Some(fill)) => Next::Submit(fill),
        (RunStatus::Failed, None) => Next::End(BatchOutcome::Failed, Some(run.id)),
        (RunStatus::Canceling, _) | (_, None) => Next::Wait,
        (_, Some(_)) => Next::Stop(run.id),
    }
}

fn after_closing(closing: &RunSeen, fill: Fill) -> Next {
    match closing.status {
        // A run that could not even write down what is known leaves no files; the batch ends as it was asked to.
        RunStatus::Succeeded | RunStatus::Failed | RunStatus::Canceled => Next::End(outcome(fill), Some(closing.id)),
        _ => Next::Wait,
    }
}

/// How a batch ends whose rows have this in the end.
pub fn outcome(fill: Fill) -> BatchOutcome {
    match fill {
        Fill::Answers => BatchOutcome::Completed,
        Fill::Cancelled => BatchOutcome::Cancelled,
        Fill::Expired => BatchOutcome::Expired,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::SignedDuration;
    use uuid::Uuid;

    use super::*;
    use stepwell_base::artifact::ArtifactRef;
    use stepwell_store::{BatchChecked, BatchRow};

    const ACTIVE: [RunStatus; 4] = [RunStatus::Pending, RunStatus::Running, RunStatus::Interrupted, RunStatus::Paused];
    const ENDED: [RunStatus; 3] = [RunStatus::Succeeded, RunStatus::Failed, RunStatus::Canceled];

    fn start() -> Timestamp {
        "2026-11-30T00:00:00Z".parse().unwrap()
    }

    fn batch() -> BatchRow {
        BatchRow {
            id: "batch_x".to_owned(),
            created_at: start(),
            endpoint: "/v1/completions".to_owned(),
            completion_window: "24h".to_owned(),
            expires_at: start() + SignedDuration::from_hours(24),
            input_file: "file-x".to_owned(),
            input: ArtifactRef { digest: "0".repeat(64).parse().unwrap(), size: 1, media_type: String::new() },
            metadata: BTreeMap::new(),
            output_expires_after: None,
            checked: None,
            cancelling_at: None,
            ending: None,
        }
    }

    fn run(status: RunStatus) -> RunSeen {
        RunSeen { id: RunId(Uuid::nil()), status, created_at: start(), finished_at: None, failure: None }
    }

    fn situation(checked: bool, cancelling: bool, run: Option<RunSeen>, closing: Option<RunSeen>) -> Situation {
        let checked = checked.then(|| BatchChecked { lines: 3, model: "m".to_owned() });
        let cancelling_at = cancelling.then(start);
        Situation { batch: BatchRow { checked, cancelling_at, ..batch() }, run, closing }
    }

    fn early() -> Timestamp {
        start() + SignedDuration::from_hours(1)
    }

    fn late() -> Timestamp {
        start() + SignedDuration::from_hours(25)
    }

    #[test]
    fn a_batch_is_checked_then_run_then_ended() {
        assert_eq!(next(&situation(false, false, None, None), early()), Next::Check);
        assert_eq!(next(&situation(true, false, None, None), early()), Next::Submit(Fill::Answers));
        for status in ACTIVE {
            assert_eq!(next(&situation(true, false, Some(run(status)), None), early()), Next::Wait);
        }
        let done = run(RunStatus::Succeeded);
        let id = Some(done.id);
        assert_eq!(next(&situation(true, false, Some(done), None), early()), Next::End(BatchOutcome::Completed, id));
        let failed = run(RunStatus::Failed);
        assert_eq!(next(&situation(true, false, Some(failed), None), early()), Next::End(BatchOutcome::Failed, id));
    }

    #[test]
    fn a_cancelled_batch_never_comes_back_whatever_its_run_does() {
        assert_eq!(next(&situation(false, true, None, None), early()), Next::End(BatchOutcome::Cancelled, None));
        assert_eq!(next(&situation(true, true, None, None), early()), Next::Submit(Fill::Cancelled));
        for status in ACTIVE {
            let stop = Next::Stop(RunId(Uuid::nil()));
            assert_eq!(next(&situation(true, true, Some(run(status)), None), early()), stop, "{status:?}");
        }
        for status in ENDED {
            for closing in [None, Some(run(RunStatus::Running)), Some(run(RunStatus::Succeeded))] {
                for now in [early(), late()] {
                    let after = next(&situation(true, true, Some(run(status)), closing.clone()), now);
                    let is_cancelling = matches!(
                        after,
                        Next::Wait | Next::Submit(Fill::Cancelled) | Next::End(BatchOutcome::Cancelled, Some(_))
                    );
                    assert!(is_cancelling, "{status:?} {closing:?}: {after:?}");
                }
            }
        }
    }

    #[test]
    fn after_the_deadline_rows_that_are_done_stay_and_the_others_expire() {
        assert_eq!(next(&situation(true, false, None, None), late()), Next::Submit(Fill::Expired));
        let stop = Next::Stop(RunId(Uuid::nil()));
        assert_eq!(next(&situation(true, false, Some(run(RunStatus::Running)), None), late()), stop);
        let canceled = situation(true, false, Some(run(RunStatus::Canceled)), None);
        assert_eq!(next(&canceled, late()), Next::Submit(Fill::Expired));
        let closed = situation(true, false, Some(run(RunStatus::Canceled)), Some(run(RunStatus::Succeeded)));
        assert!(matches!(next(&closed, late()), Next::End(BatchOutcome::Expired, Some(_))));
        // It was done in time, and only the server came late.
        let done = situation(true, false, Some(run(RunStatus::Succeeded)), None);
        assert!(matches!(next(&done, late()), Next::End(BatchOutcome::Completed, Some(_))));
    }

    #[test]
    fn a_batch_that_has_ended_needs_nothing() {
        let mut ended = situation(true, true, Some(run(RunStatus::Running)), None);
        ended.batch.ending = Some(stepwell_store::BatchEnding {
            outcome: BatchOutcome::Failed,
            at: start(),
            finalizing_at: None,
            in_progress_at: None,
            output_file: None,
            error_file: None,
            counts: Default::default(),
            usage: None,
            errors: Vec::new(),
        });
        assert_eq!(next(&ended, late()), Next::Wait);
    }
}
