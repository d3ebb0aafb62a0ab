//! Submits what the server was sent, with the code of `run`, `rerun` and `fork`.

use crate::drive::derive::{EarlierRun, fork_at};
use crate::drive::load_workflow::check;
use crate::drive::look_ahead::{Starts, look_ahead};
use crate::drive::run_name::NewName;
use crate::drive::submission::Submission;
use crate::error::CliError;
use crate::session::Session;
use stepwell_http::{Derived, DerivedFrom, Submit, Submitted};
use stepwell_run::run_options::{Origin, RunOptions};

use super::workflows::{assignments, source};

pub(super) fn submit(session: &Session, new: Submit) -> Result<Submitted, CliError> {
    let loaded = check(session, source(new.workflow)?, &assignments(&new.params)?)?;
    look_ahead(session, &loaded, Starts::Here)?;
    let (project, diff) = loaded.project(session);
    let submission = Submission {
        name: NewName::given_or(new.name.as_ref(), NewName::OfWorkflow),
        tags: new.tags,
        spec: loaded.spec,
        idempotency_key: new.idempotency_key,
        options: RunOptions { priority: new.priority, project, ..RunOptions::default() },
        adoption: None,
        diff,
    };
    commit(session, submission)
}

pub(super) fn derive(session: &Session, new: Derived) -> Result<Submitted, CliError> {
    let source = EarlierRun::load(session, &new.run.to_string(), &assignments(&new.params)?)?;
    let labels = (new.name.as_ref(), new.tags);
    let submission = match &new.from {
        DerivedFrom::Rerun { step } => {
            let from_step = source.step(step)?;
            let origin = Origin::Rerun { run: source.id(), from_step: from_step.clone() };
            let again = source.with_descendants(&from_step);
            source.derive(session, labels, again, origin, None)
        }
        DerivedFrom::Fork { step, train_step } => fork_at(session, source, labels, (step, *train_step))?,
    };
    commit(session, submission)
}

fn commit(session: &Session, submission: Submission) -> Result<Submitted, CliError> {
    let (run, new) = submission.commit(session)?;
    stepwell_engine::wake(session.state_dir());
    Ok(Submitted { run, new })
}
