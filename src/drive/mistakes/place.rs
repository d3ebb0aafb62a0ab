//! The run and the step that a person names. Swapped and missing words are answered with the command that was meant.

#[cfg(test)]
mod tests;

use crate::error::CliError;
use crate::session::Session;
use crate::view::run_handle::handle;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::{shell, suggest};
use stepwell_store::{Reader, StoreError};

/// The words of a command line such as `stepwell logs RUN STEP`.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    pub verb: &'a str,
    pub run: &'a str,
    pub step: Option<&'a str>,
}

impl Words<'_> {
    pub fn find(self, session: &Session) -> Result<(Reader, RunId, Option<StepId>), CliError> {
        let (reader, run) = self.find_run(session)?;
        let step = self.step.map(|step| find_step(&reader, run, step)).transpose()?;
        Ok((reader, run, step))
    }

    /// Like [`Words::find`], for data that pruning removes.
    ///
    /// # Errors
    /// The run was pruned, or [`Words::find`] fails.
    pub fn find_kept(self, session: &Session) -> Result<(Reader, RunId, Option<StepId>), CliError> {
        let (reader, run) = self.find_run(session)?;
        if let Some(at) = reader.run(run)?.pruned_at {
            return Err(StoreError::Pruned { run, at }.into());
        }
        let step = self.step.map(|step| find_step(&reader, run, step)).transpose()?;
        Ok((reader, run, step))
    }

    fn find_run(self, session: &Session) -> Result<(Reader, RunId), CliError> {
        let reader = session.reader()?;
        match reader.resolve_run(self.run) {
            Ok(run) => Ok((reader, run)),
            Err(error @ StoreError::UnknownRun { .. }) => Err(match self.meant(&reader) {
                Some(hint) => CliError::not_found(error).hint(hint),
                None => error.into(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// The command that was meant, if the first word is a step.
    pub fn meant(self, reader: &Reader) -> Option<String> {
        let Words { verb, run: first, step: second } = self;
        let has_step = |run: RunId| reader.resolve_step(run, first).is_ok();
        if let Some(second) = second {
            let is_swapped = reader.resolve_run(second).is_ok_and(has_step);
            return is_swapped.then(|| format!("the run comes first: {}", shell::stepwell(verb, [second, first])));
        }
        let newest = reader.resolve_run("last").ok().filter(|run| has_step(*run))?;
        let name = handle(reader, &reader.run(newest).ok()?);
        Some(format!("`{first}` is a step; the run comes first: {}", shell::stepwell(verb, [&*name, first])))
    }
}

/// Finds a step; one that does not exist is answered with those that do.
pub fn find_step(reader: &Reader, run: RunId, text: &str) -> Result<StepId, CliError> {
    match reader.resolve_step(run, text) {
        Err(error @ StoreError::UnknownStep { .. }) if !text.contains('[') => {
            let spec = reader.spec(run)?;
            let known = suggest::hint(text, "steps", spec.steps.iter().map(|step| step.id.as_str()));
            Err(CliError::not_found(error).hint(known))
        }
        found => Ok(found?),
    }
}
