//! Derives a new run from an earlier one, for `rerun` and `fork`.

use std::collections::BTreeSet;

use clap::Args;

use crate::arguments::{LogArgs, Params};
use crate::drive::edited::say_if_edited;
use crate::drive::load_workflow::{project_now, repin};
use crate::drive::queue::detach::Detach;
use crate::drive::run_name::NewName;
use crate::drive::submission::Submission;
use crate::error::CliError;
use crate::session::Session;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::names::RunName;
use stepwell_base::remark::Tag;
use stepwell_run::run_options::{Origin, Reuse, RunOptions};
use stepwell_store::{Adoption, Reader, RunRow};
use stepwell_workflow::spec::WorkflowSpec;

#[derive(Args, Debug)]
pub struct NewRunArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
    #[command(flatten)]
    pub params: Params,
    /// Name of the new run [default: that of the earlier one, with another number]
    #[arg(long, value_name = "NAME")]
    pub name: Option<RunName>,
    /// Give the new run a tag (repeatable)
    #[arg(long, aliases = ["tags", "label"], value_name = "TAG")]
    pub tag: Vec<Tag>,
    #[command(flatten)]
    pub logs: LogArgs,
    #[command(flatten)]
    pub detach: Detach,
}

/// The earlier run, and its workflow with the new run's parameters.
pub struct EarlierRun {
    pub reader: Reader,
    pub run: RunRow,
    pub(super) spec: WorkflowSpec,
    /// The workflow with the parameters of the earlier run.
    pub(super) earlier: WorkflowSpec,
    /// The parameters that change.
    pub(super) set: Vec<(String, String)>,
}

impl NewRunArgs {
    /// Name and tags of the new run.
    pub fn labels(&self) -> (Option<&RunName>, BTreeSet<Tag>) {
        (self.name.as_ref(), self.tag.iter().cloned().collect())
    }
}

impl EarlierRun {
    pub fn load(session: &Session, run: &str, set: &[(String, String)]) -> Result<EarlierRun, CliError> {
        let (reader, id) = session.find_kept_run(run)?;
        let run = reader.run(id)?;
        say_if_edited(session, run.options.project.as_ref());
        let earlier = reader.spec(id)?;
        let spec = repin(session, &run, earlier.clone(), set)?;
        Ok(EarlierRun { reader, run, spec, earlier, set: set.to_vec() })
    }

    pub fn id(&self) -> RunId {
        self.run.id
    }

    /// Finds the workflow step that `text` names; an item stands for its whole fan-out.
    pub fn step(&self, text: &str) -> Result<StepId, CliError> {
        let whole = text.split_once('[').map_or(text, |(parent, _)| parent);
        let known = |id: &StepId| id.as_str() == text || id.as_str() == whole;
        match self.spec.steps.iter().map(|step| &step.id).find(|id| known(id)) {
            Some(id) => Ok(id.clone()),
            None => {
                let known: Vec<&str> = self.spec.steps.iter().map(|step| step.id.as_str()).collect();
                Err(CliError::not_found(format!("run {} has no step `{text}`", self.run.name))
                    .hint(format!("its steps are {}", known.join(", "))))
            }
        }
    }

    pub fn steps(&self) -> impl Iterator<Item = &StepId> {
        self.spec.steps.iter().map(|step| &step.id)
    }

    /// The kind of a workflow step; empty for an unknown step.
    pub fn kind(&self, step: &StepId) -> &str {
        self.spec.steps.iter().find(|spec| spec.id == *step).map_or("", |spec| &spec.kind)
    }

    /// A step and all that needs it.
    pub fn with_descendants(&self, step: &StepId) -> Vec<StepId> {
        self.spec.with_descendants(step)
    }

    /// The new run. The steps in `again` run again; all others are reused where equal.
    pub fn derive(
        self,
        session: &Session,
        (name, tags): (Option<&RunName>, BTreeSet<Tag>),
        again: Vec<StepId>,
        origin: Origin,
        adoption: Option<Adoption>,
    ) -> Submission {
        let EarlierRun { reader, run, spec, .. } = self;
        drop(reader);
        let (project, diff) = project_now(session, run.options.project.as_ref());
        let reuse = Reuse::Except(again);
        Submission {
            name: NewName::given_or(name, NewName::from(&run)),
            tags,
            options: RunOptions { reuse, origin: Some(origin), priority: run.options.priority, project },
            spec,
            idempotency_key: None,
            adoption,
            diff,
        }
    }
}
