//! An answer as server-sent events: chunks as they come, then `[DONE]`. A client that goes away ends the rows of its request.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::channel::{Piece, Pieces};
use crate::api::events::stream_headers;
use stepwell_batch::body::Endpoint;
use stepwell_batch::results::{Logprobs, Usage};

/// A comment this often keeps proxies from closing a stream that waits, and notices a client that has gone.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Makes the chunks of one answer.
pub struct Chunks {
    endpoint: Endpoint,
    id: String,
    created: i64,
    model: String,
    choices: usize,
    wants_usage: bool,
}

impl Chunks {
    pub fn new(endpoint: Endpoint, model: String, choices: usize, wants_usage: bool) -> Chunks {
        let start = match endpoint {
            Endpoint::ChatCompletions => "chatcmpl",
            Endpoint::Completions => "cmpl",
        };
        let id = format!("{start}-{}", Uuid::now_v7().simple());
        Chunks { endpoint, id, created: Timestamp::now().as_second(), model, choices, wants_usage }
    }

    /// The chunks before any text: a chat names the role of each answer.
    fn first(&self) -> Vec<Value> {
        match self.endpoint {
            Endpoint::ChatCompletions => (0..self.choices)
                .map(|index| {
                    let delta = json!({ "role": "assistant", "content": "" });
                    self.chunk(json!([{ "index": index, "delta": delta, "logprobs": null, "finish_reason": null }]))
                })
                .collect(),
            Endpoint::Completions => Vec::new(),
        }
    }

    fn of(&self, piece: Piece) -> Vec<Value> {
        match (piece, self.endpoint) {
            (Piece::Started, _) => Vec::new(),
            (Piece::Text { choice, text, tokens }, Endpoint::ChatCompletions) => {
                let logprobs = (!tokens.is_empty()).then(|| json!(Logprobs::Chat(&tokens)));
                let delta = json!({ "content": text });
                let choice = json!({ "index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": null });
                vec![self.chunk(json!([choice]))]
            }
            (Piece::Text { choice, text, tokens }, Endpoint::Completions) => {
                let logprobs = (!tokens.is_empty()).then(|| json!(Logprobs::Completion(&tokens)));
                let choice = json!({ "index": choice, "text": text, "logprobs": logprobs, "finish_reason": null });
                vec![self.chunk(json!([choice]))]
            }
            (Piece::Finished { choice, reason }, Endpoint::ChatCompletions) => {
                vec![self.chunk(json!([{ "index": choice, "delta": {}, "logprobs": null, "finish_reason": reason }]))]
            }
            (Piece::Finished { choice, reason }, Endpoint::Completions) => {
                vec![self.chunk(json!([{ "index": choice, "text": "", "logprobs": null, "finish_reason": reason }]))]
            }
            (Piece::Done { usage: used, .. }, _) if self.wants_usage => {
                let mut last = self.chunk(json!([]));
                last["usage"] = usage(used);
                vec![last]
            }
            (Piece::Done { .. }, _) => Vec::new(),
            (Piece::Failed(error), _) => vec![error.body()],
        }
    }

    fn chunk(&self, choices: Value) -> Value {
        let object = match self.endpoint {
            Endpoint::ChatCompletions => "chat.completion.chunk",
            Endpoint::Completions => "text_completion",
        };
        let mut chunk = json!({
            "id": self.id, "object": object, "created": self.created, "model": self.model, "choices": choices,
        });
        if self.wants_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }
}

fn usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total(),
    })
}

struct Streamed {
    pieces: Pieces,
    chunks: Chunks,
    waiting: VecDeque<Bytes>,
    ended: bool,
}

pub fn stream(pieces: Pieces, chunks: Chunks) -> Response {
    let waiting = chunks.first().iter().map(frame).collect();
    let streamed = Streamed { pieces, chunks, waiting, ended: false };
    let frames = stream::unfold(streamed, |mut streamed| async move {
        streamed.next().await.map(|frame| (Ok::<_, Infallible>(frame), streamed))
    });
    (stream_headers(), Body::from_stream(frames)).into_response()
}

impl Streamed {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.waiting.pop_front() {
                return Some(frame);
            }
            if self.ended {
                return None;
            }
            match tokio::time::timeout(HEARTBEAT, self.pieces.next()).await {
                Err(_) => return Some(Bytes::from_static(b": still here\n\n")),
                Ok(Some(piece)) => {
                    self.ended = matches!(piece, Piece::Done { .. } | Piece::Failed(_));
                    self.waiting.extend(self.chunks.of(piece).iter().map(frame));
                }
                // The thread of the model is gone: without `[DONE]`, the client knows that something is missing.
                Ok(None) => return None,
            }
            if self.ended {
                self.waiting.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
            }
        }
    }
}

fn frame(chunk: &Value) -> Bytes {
    // JSON has no line feeds, so it is one line of data.
    Bytes::from(format!("data: {chunk}\n\n"))
}
