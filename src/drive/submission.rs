//! Submits a run durably, prints its id, then drives the run in the foreground.

use std::collections::BTreeSet;
use std::fs;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::ending::{Ending, report};
use super::foreground::{self, lock};
use super::load_workflow::Loaded;
use super::look_ahead::look_ahead;
use super::preview::preview;
use super::queue::detach::{Detach, Drive};
use super::queue::task::Task;
use super::run_name::NewName;
use crate::arguments::{LogArgs, Params, label};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::short_id;
use crate::view::run_handle::handle_of;
use crate::view::series::metric_lines;
use stepwell_base::ids::RunId;
use stepwell_base::names::RunName;
use stepwell_base::remark::Tag;
use stepwell_base::shell;
use stepwell_engine::{self, Start};
use stepwell_run::run_options::{Reuse, RunOptions};
use stepwell_store::{Adoption, EngineLock, Holder, NewRun, RunRow, Store, StoreError, Submitted, project_diff};
use stepwell_workflow::key;
use stepwell_workflow::spec::WorkflowSpec;

#[derive(Args, Clone, Debug)]
pub struct SubmitArgs {
    #[command(flatten)]
    pub params: Params,
    /// Name of the run [default: the workflow's name and a number, such as `pretrain-3`]
    #[arg(long, value_name = "NAME")]
    pub name: Option<RunName>,
    /// Give the run a tag (repeatable); `stepwell list --tag TAG` finds it
    #[arg(long, aliases = ["tags", "label"], value_name = "TAG")]
    pub tag: Vec<Tag>,
    /// Leave out a step and everything that needs it (repeatable)
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// Run the steps there, unless they name an `executor` themselves: `local`, or a name in `[executors]` of stepwell.toml
    #[arg(long, value_name = "EXECUTOR")]
    pub on: Option<String>,
    /// Priority of the run; ready steps of higher priority start first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub priority: i32,
    /// Key of this submission: the same key again continues the same run, or reports how it ended
    #[arg(long, alias = "key", value_name = "KEY", value_parser = label, allow_hyphen_values = true)]
    pub idempotency_key: Option<String>,
    /// Run every step, even if an equal one has succeeded before
    #[arg(long)]
    pub no_reuse: bool,
    #[command(flatten)]
    pub logs: LogArgs,
    #[command(flatten)]
    pub detach: Detach,
}

/// Submits a checked workflow; drives it unless `--detach` was given.
pub fn submit(session: &Session, mut loaded: Loaded, args: &SubmitArgs) -> Result<Exit, CliError> {
    skip_steps(&mut loaded.spec, &args.skip)?;
    if let Some(executor) = &args.on {
        place_steps(session, &mut loaded.spec, executor)?;
    }
    look_ahead(session, &loaded, args.detach.starts())?;
    preview(session, &loaded.spec);
    let reuse = if args.no_reuse { Reuse::Never } else { Reuse::Allowed };
    let (project, diff) = loaded.project(session);
    let spec = loaded.spec;
    let new = Submission {
        name: NewName::given_or(args.name.as_ref(), NewName::OfWorkflow),
        tags: args.tag.iter().cloned().collect(),
        idempotency_key: args.idempotency_key.clone(),
        options: RunOptions { priority: args.priority, reuse, project, ..RunOptions::default() },
        spec,
        adoption: None,
        diff,
    };
    new.start(session, args.detach.drive())
}

pub struct Submission {
    pub name: NewName,
    pub tags: BTreeSet<Tag>,
    pub spec: WorkflowSpec,
    pub idempotency_key: Option<String>,
    pub options: RunOptions,
    /// Set for a fork that continues in the middle of a step.
    pub adoption: Option<Adoption>,
    /// Changes of the project that are not committed, as `git diff` prints them.
    pub diff: Option<Vec<u8>>,
}

impl Submission {
    /// Submits, prints the id once it is durable, and brings the run to its end unless it is detached.
    pub fn start(self, session: &Session, drive: Drive) -> Result<Exit, CliError> {
        let lock = match drive {
            Drive::Foreground => lock(session)?,
            Drive::Detached => None,
        };
        let after_seq = session.reader().map_or(Ok(0), |reader| reader.newest_event())?;
        let workflow = self.spec.name.clone();
        let digest = key::spec_digest(&self.spec);
        let earlier = self.earlier_of_this_name(session);
        let (run, new) = self.commit(session)?;
        let row = session.reader()?.run(run)?;
        let (name, is_other) = (row.name, row.spec_digest != digest);
        let human = format!("run {run} ({name}){}", if new { "" } else { " was submitted before" });
        let fields = json!({ "id": run, "name": name, "workflow": workflow, "new": new });
        session.out.announce(&human, json!({ "type": "submitted", "run": fields }));
        stepwell_engine::wake(session.state_dir());
        if !new && is_other {
            session.out.message(
                "note: the workflow or its params have changed since that submission; the run keeps what it was submitted \
                 with, and another `--idempotency-key` starts the edited one",
            );
        }
        if let Some(earlier) = earlier.filter(|earlier| new && earlier.id != run) {
            session.out.message(&shadowed(&earlier));
        }
        if drive == Drive::Detached {
            let watch = shell::stepwell("watch", [&*handle_of(session.state_dir(), run)]);
            // An engine for all runs has slots and no run of its own.
            let engine = EngineLock::holder(session.state_dir());
            let serves_all = |engine: &Holder| engine.run.is_none() && engine.slots.is_some();
            let who = match engine.filter(serves_all) {
                Some(engine) => format!("{} runs it", engine.short()),
                None => "`stepwell worker` runs what is pending".to_owned(),
            };
            session.out.message(&format!("hint: {who}; {watch} follows it"));
            return Ok(Exit::Ok);
        }
        if !new && let Some(ending) = ended(session, run)? {
            drop(lock);
            metric_lines(session, run)?;
            let exit = report(session, run, ending)?;
            if ending == Ending::Failed {
                let retry = shell::stepwell("retry", [&*handle_of(session.state_dir(), run)]);
                session.out.message(&format!("hint: {retry} tries the failed steps again"));
            }
            return Ok(exit);
        }
        match lock {
            Some(lock) => foreground::drive(session, lock, run, Start::GoOn),
            None => Task { run, start: Start::GoOn, request: None, after_seq }.run_to_end(session),
        }
    }

    /// The newest run that has the given name already. It has ended, or the new one is refused.
    fn earlier_of_this_name(&self, session: &Session) -> Option<RunRow> {
        let NewName::Given(name) = &self.name else { return None };
        let reader = session.reader().ok()?;
        let earlier = reader.run(reader.resolve_run(name.as_str()).ok()?).ok()?;
        (earlier.name == name.as_str()).then_some(earlier)
    }

    /// Commits the run; its id is durable on return. The flag is true for a new run.
    ///
    /// # Errors
    /// `NameActive` when an unfinished run has the given name; `Usage` when there are too many tags.
    pub fn commit(self, session: &Session) -> Result<(RunId, bool), CliError> {
        let mut store = Store::open(session.state_dir())?;
        let id = RunId(Uuid::now_v7());
        let spec_digest = key::spec_digest(&self.spec);
        loop {
            let new = NewRun {
                id,
                name: self.name.make(store.reader(), &self.spec.name)?,
                spec_digest: spec_digest.clone(),
                spec: self.spec.clone(),
                idempotency_key: self.idempotency_key.clone(),
                options: self.options.clone(),
                at: Timestamp::now(),
            };
            return match store.submit_tagged(new, self.adoption.as_ref(), self.tags.clone()) {
                Ok(Submitted::New) => {
                    keep_diff(session, id, self.diff.as_deref());
                    Ok((id, true))
                }
                Ok(Submitted::Existing(run)) => Ok((run, false)),
                // Another process has taken the number in the meantime.
                Err(StoreError::NameActive { .. }) if !self.name.is_given() => continue,
                Err(error) => Err(error.into()),
            };
        }
    }
}

/// Says that a name means another run from now on.
fn shadowed(earlier: &RunRow) -> String {
    let id = short_id(earlier.id);
    let RunRow { name, status, .. } = earlier;
    format!("the name `{name}` now means this run; the earlier one ({status}) is {}", shell::quote(id))
}

/// Keeps the changes beside the logs of the run. The event of the submission has their digest, so that losing them loses
/// only a convenience.
fn keep_diff(session: &Session, run: RunId, diff: Option<&[u8]>) {
    let Some(diff) = diff else { return };
    let path = project_diff(session.state_dir(), run);
    let kept = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, diff));
    if let Err(error) = kept {
        session.out.message(&format!("warning: cannot keep the uncommitted changes in `{}`: {error}", path.display()));
    }
}

/// The ending of a run that was submitted before. A key that is submitted again continues a run, but it neither repeats
/// one that has ended nor resumes one that a person paused.
fn ended(session: &Session, run: RunId) -> Result<Option<Ending>, CliError> {
    let row = session.reader()?.run(run)?;
    Ok(Ending::of_status(row.stored_status))
}

/// Chooses the executor of all steps that do not name one.
fn place_steps(session: &Session, spec: &mut WorkflowSpec, executor: &str) -> Result<(), CliError> {
    if let Err(failure) = session.settings.limits().executors.check(executor) {
        return Err(CliError::usage(failure.message).hint(failure.hint.unwrap_or_default()));
    }
    for step in &mut spec.steps {
        step.executor.get_or_insert_with(|| executor.to_owned());
    }
    Ok(())
}

fn skip_steps(spec: &mut WorkflowSpec, skip: &[String]) -> Result<(), CliError> {
    for id in skip {
        match spec.steps.iter_mut().find(|step| step.id.as_str() == id) {
            Some(step) => step.when = Some("false".to_owned()),
            None => {
                let known: Vec<&str> = spec.steps.iter().map(|step| step.id.as_str()).collect();
                return Err(CliError::usage(format!("cannot skip `{id}`: workflow {} has no such step", spec.name))
                    .hint(format!("its steps are {}", known.join(", "))));
            }
        }
    }
    Ok(())
}
