//! One look at all open batches: takes the next step of each.

use jiff::Timestamp;

use super::check::{self, Checked};
use super::decide::{Next, next, outcome};
use super::finish::{ended, ended_early, run_failed};
use crate::desk::Ask;
use crate::openai::batches::{BatchRun, Fill, Situation};
use crate::problem::Problem;
use crate::state::AppState;
use stepwell_artifact::ArtifactStore;
use stepwell_store::{BatchCounts, BatchEnding, BatchOutcome, FileRow};

/// Takes the next step of every open batch; returns how many there are. A batch that cannot be moved does not hold up the
/// others: it is tried again at the next look.
///
/// # Errors
/// When the database cannot be read.
pub async fn round(app: &AppState) -> Result<usize, Problem> {
    let open = app
        .read(|reader| {
            let open = reader.open_batches()?.into_iter();
            open.map(|batch| Situation::of(reader, batch)).collect::<Result<Vec<_>, Problem>>()
        })
        .await?;
    let count = open.len();
    for situation in open {
        let id = situation.batch.id.clone();
        if let Err(problem) = act(app, situation).await {
            tracing::warn!("batch {id}: {}", problem.detail());
        }
    }
    Ok(count)
}

async fn act(app: &AppState, situation: Situation) -> Result<(), Problem> {
    match next(&situation, Timestamp::now()) {
        Next::Wait => Ok(()),
        Next::Check => check(app, situation).await,
        Next::Submit(fill) => submit(app, situation, fill).await,
        Next::Stop(run) => app.ask(move |desk| desk.ask(run, Ask::Cancel)).await,
        Next::End(outcome, run) => {
            let (ending, files) = match run {
                Some(run) => ended(app, &situation, outcome, run).await?,
                None => (ended_early(&situation, outcome), Vec::new()),
            };
            end(app, &situation, ending, files).await
        }
    }
}

async fn check(app: &AppState, situation: Situation) -> Result<(), Problem> {
    let models: Vec<String> = app.ask(|desk| desk.models()).await?.into_iter().map(|model| model.id).collect();
    let state_dir = app.read(|reader| Ok(reader.state_dir().to_owned())).await?;
    let batch = situation.batch.clone();
    let checked = app
        .block(move || {
            let path = ArtifactStore::open(&state_dir)?.blob_path(&batch.input.digest);
            check::check(&path, &batch, models)
        })
        .await?;
    let id = situation.batch.id.clone();
    match checked {
        Checked::Good(checked) => app.write(move |store| Ok(store.note_checked(&id, &checked)?)).await?,
        Checked::Bad { lines, errors } => {
            let counts = BatchCounts { total: lines, ..BatchCounts::default() };
            let ending = BatchEnding { errors, counts, ..ended_early(&situation, BatchOutcome::Failed) };
            end(app, &situation, ending, Vec::new()).await?;
        }
    }
    app.bell().ring();
    Ok(())
}

async fn submit(app: &AppState, situation: Situation, fill: Fill) -> Result<(), Problem> {
    let model = situation.batch.checked.as_ref().map(|checked| checked.model.clone()).unwrap_or_default();
    let run = BatchRun::of(&situation.batch, model, fill);
    match app.ask(move |desk| desk.start_batch(run)).await.map(drop) {
        // The model is gone, for example. It would be refused at every look.
        Err(problem) if problem.status().is_client_error() => {
            let outcome = if fill == Fill::Answers { BatchOutcome::Failed } else { outcome(fill) };
            let errors = vec![run_failed(problem.detail())];
            let ending = BatchEnding { errors, ..ended_early(&situation, outcome) };
            end(app, &situation, ending, Vec::new()).await
        }
        done => done,
    }
}

/// Stores how the batch ended, once.
async fn end(app: &AppState, situation: &Situation, ending: BatchEnding, files: Vec<FileRow>) -> Result<(), Problem> {
    let id = situation.batch.id.clone();
    app.write(move |store| Ok(store.end_batch(&id, &ending, &files).map(drop)?)).await
}
