//! New events: one task looks for them, and only while somebody listens.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, watch};

use crate::state::AppState;
use stepwell_store::DATABASE_FILE;

/// Time between two looks at the log.
const INTERVAL: Duration = Duration::from_millis(200);

/// What is new in the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct News {
    /// Number of the newest event.
    pub newest: i64,
    /// Grows when something was committed: metrics and progress have no events.
    pub commits: u64,
}

/// News, for those who listen.
#[derive(Clone)]
pub struct Feed {
    news: Arc<watch::Sender<News>>,
    listeners: Arc<Listeners>,
}

#[derive(Default)]
struct Listeners {
    count: AtomicUsize,
    came: Notify,
}

/// A place among the listeners, until it is dropped.
pub struct Listener {
    news: watch::Receiver<News>,
    listeners: Arc<Listeners>,
}

impl Feed {
    pub fn new() -> Feed {
        Feed { news: Arc::new(watch::Sender::new(News::default())), listeners: Arc::default() }
    }

    pub fn listen(&self) -> Listener {
        self.listeners.count.fetch_add(1, Ordering::SeqCst);
        self.listeners.came.notify_one();
        Listener { news: self.news.subscribe(), listeners: Arc::clone(&self.listeners) }
    }

    /// Number of listeners.
    pub fn listeners(&self) -> usize {
        self.listeners.count.load(Ordering::SeqCst)
    }

    /// Looks for new events for as long as the server runs.
    pub(crate) async fn watch(self, app: AppState) {
        let mut written = None;
        loop {
            if self.listeners() == 0 {
                self.listeners.came.notified().await;
            }
            // A database that cannot be read now is asked again.
            if let Ok((newest, last)) =
                app.read(|reader| Ok((reader.newest_event()?, written_at(reader.state_dir())))).await
            {
                let commits = self.news.borrow().commits + u64::from(std::mem::replace(&mut written, last) != last);
                let news = News { newest, commits };
                self.news.send_if_modified(|known| std::mem::replace(known, news) != news);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

impl Listener {
    /// Waits until the log has an event after `seq`.
    pub async fn has_after(&mut self, seq: i64) {
        // The sender lives as long as the server.
        let _ = self.news.wait_for(|news| news.newest > seq).await;
    }

    /// Waits until the log has an event after `seq`, or something was committed since `commits`.
    pub async fn has_news(&mut self, seq: i64, commits: u64) -> News {
        let news = self.news.wait_for(|news| news.newest > seq || news.commits != commits).await;
        news.map_or(News { newest: seq, commits }, |news| *news)
    }

    /// The news so far.
    pub fn now(&self) -> News {
        *self.news.borrow()
    }
}

/// Every commit writes to the write-ahead log, so its time and size tell of one without a question to the database.
fn written_at(state_dir: &Path) -> Option<(SystemTime, u64)> {
    let log = std::fs::metadata(state_dir.join(format!("{DATABASE_FILE}-wal"))).ok()?;
    Some((log.modified().ok()?, log.len()))
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.listeners.count.fetch_sub(1, Ordering::SeqCst);
    }
}
