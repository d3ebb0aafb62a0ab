//! New events: one task looks for them, and only while somebody listens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::state::AppState;

/// Time between two looks at the log.
const INTERVAL: Duration = Duration::from_millis(200);

/// Number of the newest event, for those who listen.
#[derive(Clone)]
pub struct Feed {
    newest: Arc<watch::Sender<i64>>,
    listeners: Arc<Listeners>,
}

#[derive(Default)]
struct Listeners {
    count: AtomicUsize,
    came: Notify,
}

/// A place among the listeners, until it is dropped.
pub struct Listener {
    newest: watch::Receiver<i64>,
    listeners: Arc<Listeners>,
}

impl Feed {
    pub fn new() -> Feed {
        Feed { newest: Arc::new(watch::Sender::new(0)), listeners: Arc::default() }
    }

    pub fn listen(&self) -> Listener {
        self.listeners.count.fetch_add(1, Ordering::SeqCst);
        self.listeners.came.notify_one();
        Listener { newest: self.newest.subscribe(), listeners: Arc::clone(&self.listeners) }
    }

    /// Number of listeners.
    pub fn listeners(&self) -> usize {
        self.listeners.count.load(Ordering::SeqCst)
    }

    /// Looks for new events for as long as the server runs.
    pub(crate) async fn watch(self, app: AppState) {
        loop {
            if self.listeners() == 0 {
                self.listeners.came.notified().await;
            }
            // A database that cannot be read now is asked again.
            if let Ok(newest) = app.read(|reader| Ok(reader.newest_event()?)).await {
                self.newest.send_if_modified(|known| std::mem::replace(known, newest) != newest);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

impl Listener {
    /// Waits until the log has an event after `seq`.
    pub async fn has_after(&mut self, seq: i64) {
        // The sender lives as long as the server.
        let _ = self.newest.wait_for(|newest| *newest > seq).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.listeners.count.fetch_sub(1, Ordering::SeqCst);
    }
}
