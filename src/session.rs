//! Everything that each verb works with: settings, output, and the state directory.

use std::path::Path;

use crate::arguments::GlobalArgs;
use crate::error::CliError;
use crate::log;
use crate::view::logs::LogDetail;
use crate::view::output::Output;
use stepwell_artifact::ArtifactStore;
use stepwell_base::ids::RunId;
use stepwell_config::{self, Origin, Settings};
use stepwell_store::{Reader, StoreError};

#[derive(Clone)]
pub struct Session {
    pub settings: Settings,
    pub out: Output,
    /// Lines of running commands that the verb shows.
    pub log_detail: LogDetail,
}

impl Session {
    pub fn new(global: &GlobalArgs) -> Result<Self, CliError> {
        let flags = stepwell_config::Partial {
            state_dir: global.state_dir.clone(),
            export_dir: global.export_dir.clone(),
            output: global.output,
            color: global.color,
            ..Default::default()
        };
        log::check()?;
        let settings = stepwell_config::load(flags)?;
        let state_dir = &settings.state_dir;
        let named = (state_dir.origin != Origin::Default).then(|| state_dir.value.clone());
        let out = Output::new(settings.output.value, global.quiet, settings.color.value, named);
        let out = out.naming_runs_of(&state_dir.value);
        Ok(Session { settings, out, log_detail: LogDetail::default() })
    }

    /// A copy for work that nobody watches: it prints nothing.
    pub fn silent(&self) -> Session {
        Session { out: self.out.silent(), ..self.clone() }
    }

    pub fn state_dir(&self) -> &Path {
        &self.settings.state_dir.value
    }

    pub fn reader(&self) -> Result<Reader, CliError> {
        Ok(Reader::open(self.state_dir())?)
    }

    /// Opens a reader and resolves the run that `selector` names.
    pub fn find_run(&self, selector: &str) -> Result<(Reader, RunId), CliError> {
        let reader = self.reader()?;
        let run = reader.resolve_run(selector)?;
        Ok((reader, run))
    }

    /// Like [`Session::find_run`], for data that pruning removes.
    ///
    /// # Errors
    /// The run was pruned, or [`Session::find_run`] fails.
    pub fn find_kept_run(&self, selector: &str) -> Result<(Reader, RunId), CliError> {
        let (reader, run) = self.find_run(selector)?;
        match reader.run(run)?.pruned_at {
            Some(at) => Err(StoreError::Pruned { run, at }.into()),
            None => Ok((reader, run)),
        }
    }

    pub fn artifacts(&self) -> Result<ArtifactStore, CliError> {
        Ok(ArtifactStore::open(self.state_dir())?)
    }
}
