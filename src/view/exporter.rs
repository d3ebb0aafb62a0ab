//! Exports the finished runs of a worker on a separate thread, because copying a model takes long.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::export_folder::ExportFolder;
use super::fan_out::MOST_CHILDREN;
use crate::error::CliError;
use stepwell_base::ids::RunId;
use stepwell_store::Reader;

/// Shows one line to a person.
type Print = dyn Fn(&str) + Send + Sync;

/// A queue of exports; its thread starts with the first run.
pub struct Exporter {
    folder: ExportFolder,
    print: Arc<Print>,
    work: Option<(Sender<RunId>, JoinHandle<()>)>,
}

impl Exporter {
    pub fn new(folder: ExportFolder, print: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Exporter { folder, print: Arc::new(print), work: None }
    }

    /// Queues the export of a run that has succeeded.
    pub fn export(&mut self, run: RunId) {
        let (folder, print) = (&self.folder, &self.print);
        let (sender, _) = self.work.get_or_insert_with(|| {
            let (sender, runs) = channel();
            let (folder, print) = (folder.clone(), Arc::clone(print));
            (sender, std::thread::spawn(move || serve(&runs, &folder, &*print)))
        });
        // Sending fails only if the thread has panicked; `resume RUN` exports as well.
        let _ = sender.send(run);
    }

    /// Waits until everything is exported.
    pub fn finish(&mut self) {
        if let Some((sender, thread)) = self.work.take() {
            drop(sender);
            let _ = thread.join();
        }
    }
}

fn serve(runs: &Receiver<RunId>, folder: &ExportFolder, print: &Print) {
    for run in runs {
        match export(run, folder) {
            Ok(folders) => folders.iter().for_each(|folder| print(&format!("exported to {}", folder.display()))),
            Err(error) => print(&format!("warning: run {run} is not exported: {}", error.message())),
        }
    }
}

fn export(run: RunId, folder: &ExportFolder) -> Result<Vec<PathBuf>, CliError> {
    let reader = Reader::open(folder.state_dir())?;
    folder.materialise(&reader.run(run)?, &reader.overview(run, MOST_CHILDREN)?)
}
