//! Open connections to the state database, and the threads that wait for it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::Semaphore;

use crate::problem::Problem;
use stepwell_store::{Reader, Store};

/// Readers that are open at a time; more would only wait for the same cores.
const READERS: usize = 8;
/// Threads for what the program does, which may wait for an engine.
const ASKING: usize = 8;
/// Longest wait for a free reader or thread.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Connections {
    state_dir: PathBuf,
    idle: Arc<Mutex<Vec<Reader>>>,
    reading: Arc<Semaphore>,
    asking: Arc<Semaphore>,
    writer: Arc<Mutex<Option<Store>>>,
}

impl Connections {
    /// Threads for blocking work that the runtime must have.
    pub const THREADS: usize = READERS + ASKING + 2;

    /// `store` is the connection for changes.
    pub fn new(state_dir: PathBuf, store: Store) -> Connections {
        Connections {
            state_dir,
            idle: Arc::default(),
            reading: Arc::new(Semaphore::new(READERS)),
            asking: Arc::new(Semaphore::new(ASKING)),
            writer: Arc::new(Mutex::new(Some(store))),
        }
    }

    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (idle, state_dir) = (Arc::clone(&self.idle), self.state_dir.clone());
        on_thread(&self.reading, move || {
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let reader = match kept {
                Some(reader) => reader,
                None => Reader::open(&state_dir)?,
            };
            let answer = question(&reader);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            answer
        })
        .await
    }

    pub async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Store) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (writer, state_dir) = (Arc::clone(&self.writer), self.state_dir.clone());
        on_thread(&self.asking, move || {
            // A panic of another change drops its connection, which rolls back.
            let mut kept = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let mut store = match kept.take() {
                Some(store) => store,
                None => Store::open(&state_dir)?,
            };
            let changed = change(&mut store);
            *kept = Some(store);
            changed
        })
        .await
    }

    pub async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        on_thread(&self.asking, work).await
    }
}

async fn on_thread<T: Send + 'static>(
    places: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let place = tokio::time::timeout(PATIENCE, Arc::clone(places).acquire_owned()).await;
    let Ok(Ok(place)) = place else {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "the server has too much to do");
        return Err(problem.hint("try again in a moment").retry_after(1));
    };
    let done = tokio::task::spawn_blocking(move || {
        // The place is free once the work is done, even if nobody waits for the answer any more.
        let _place = place;
        work()
    });
    done.await.unwrap_or_else(|error| Err(Problem::internal("the request", &error)))
}
