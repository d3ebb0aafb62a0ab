//! Frames of a stream of events. Each client reads the log at its own pace, so a slow one costs no memory, and one that
//! comes back misses nothing.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream};

use super::events::Frame;
use super::forms::EventForm;
use crate::events::Listener;
use crate::problem::Problem;
use crate::state::AppState;
use stepwell_base::ids::RunId;

/// Events that are read at a time.
const PAGE: u32 = 200;
/// A comment this often keeps proxies from closing the stream, and tells the server that a client has gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The place where a stream starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    After(i64),
    /// The client knows events that this log does not have; it starts again after this one.
    Reset(i64),
}

/// Commits without events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quiet {
    Told,
    Untold,
}

struct Client {
    app: AppState,
    run: Option<RunId>,
    listener: Listener,
    quiet: Quiet,
    /// Commits that the client knows of.
    commits: u64,
    /// Number of the last event that was read.
    after: i64,
    waiting: VecDeque<Bytes>,
    ended: bool,
}

pub fn frames(app: AppState, run: Option<RunId>, start: Start, quiet: Quiet) -> impl Stream<Item = Frame> {
    let listener = app.feed().listen();
    let (after, first) = match start {
        Start::After(after) => (after, "retry: 1000\n\n".to_owned()),
        Start::Reset(after) => (after, format!("retry: 1000\n\nid: {after}\nevent: reset\ndata: {{}}\n\n")),
    };
    let waiting = VecDeque::from([Bytes::from(first)]);
    let commits = listener.now().commits;
    let client = Client { app, run, listener, quiet, commits, after, waiting, ended: false };
    stream::unfold(client, |mut client| async move { client.next().await.map(|frame| (Ok(frame), client)) })
}

impl Client {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.waiting.pop_front() {
                return Some(frame);
            }
            if self.ended {
                return None;
            }
            match self.read().await {
                Ok(()) if self.waiting.is_empty() => {
                    if let Some(frame) = self.wait().await {
                        return Some(frame);
                    }
                }
                Ok(()) => {}
                Err(problem) => {
                    // The client comes back and asks again from the last event that it has.
                    tracing::warn!("a stream of events ended: {}", problem.detail());
                    self.ended = true;
                }
            }
        }
    }

    /// Waits for an event; returns a frame if there is something else to send.
    async fn wait(&mut self) -> Option<Bytes> {
        let heard = match self.quiet {
            Quiet::Untold => tokio::time::timeout(HEARTBEAT, self.listener.has_after(self.after)).await.is_ok(),
            Quiet::Told => {
                let news = self.listener.has_news(self.after, self.commits);
                match tokio::time::timeout(HEARTBEAT, news).await {
                    Ok(news) if news.newest <= self.after => {
                        self.commits = news.commits;
                        return Some(Bytes::from_static(b"event: progress\ndata: {}\n\n"));
                    }
                    Ok(news) => {
                        self.commits = news.commits;
                        true
                    }
                    Err(_) => false,
                }
            }
        };
        (!heard).then(|| Bytes::from_static(b": still here\n\n"))
    }

    async fn read(&mut self) -> Result<(), Problem> {
        let (run, after) = (self.run, self.after);
        let read = self.app.read(move |reader| {
            let newest = reader.newest_event()?;
            let rows = reader.events_page(run, after, PAGE)?;
            let is_last = rows.len() < PAGE as usize;
            let after = rows.last().map_or(after, |row| row.seq);
            let frames: Result<VecDeque<Bytes>, Problem> =
                rows.iter().map(|row| Ok(frame(&EventForm::new(row)?))).collect();
            // Events of other runs up to the newest are done with as well.
            Ok((frames?, if is_last { after.max(newest) } else { after }))
        });
        (self.waiting, self.after) = read.await?;
        Ok(())
    }
}

fn frame(event: &EventForm) -> Bytes {
    // JSON has no line feeds, so it is one line of data.
    let data = serde_json::to_string(event).unwrap_or_default();
    Bytes::from(format!("id: {}\ndata: {data}\n\n", event.seq))
}
