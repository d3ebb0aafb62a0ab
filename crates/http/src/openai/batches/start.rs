//! `POST /start`: a whole batch in one request, in which a bad prompt gets an error line; and its status with speed, time
//! left and deadline.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::create::add;
use super::form::BatchForm;
use super::new::NewBatch;
use super::run::lenient;
use super::situation::find;
use crate::api::forms::Anything;
use crate::openai::files::store_bytes;
use crate::problem::Problem;
use crate::route::{BodyOf, PathOf};
use crate::state::AppState;
use stepwell_batch::body::Endpoint;
use stepwell_store::FileRow;

/// Most prompts.
const MOST: usize = 50_000;
/// Largest body in bytes: it is in memory as a whole. A file may have more.
pub const LARGEST: u64 = 16 << 20;

/// Prompts for one model.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    model: String,
    /// Texts, or objects with `prompt` or `messages` and maybe `custom_id` and options of their own.
    input: Vec<Value>,
    /// Options of all prompts, such as `max_tokens` and `temperature`.
    #[serde(default)]
    options: Map<String, Value>,
    /// Shorthand for the option of that name.
    max_tokens: Option<u32>,
    temperature: Option<f64>,
    /// `24h` by default.
    completion_window: Option<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// The batch, and how it goes.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusForm {
    #[serde(flatten)]
    batch: BatchForm,
    /// Answered tokens per second, while rows are at work.
    tokens_per_second: Option<f64>,
    /// Work, time left and deadline of the run, as `show` prints them.
    effort: Option<Anything>,
}

pub async fn start(
    State(app): State<AppState>,
    BodyOf(body): BodyOf<StartBody, LARGEST>,
) -> Result<Json<BatchForm>, Problem> {
    if body.input.is_empty() || body.input.len() > MOST {
        return Err(Problem::usage(format!("`input` has 1 to {MOST} prompts")).about("input"));
    }
    let endpoint = match body.input.iter().any(|entry| entry.get("messages").is_some()) {
        true => Endpoint::ChatCompletions,
        false => Endpoint::Completions,
    };
    let window = body.completion_window.clone().unwrap_or_else(|| "24h".to_owned());
    let mut metadata = body.metadata.clone();
    let (switch, on) = lenient();
    metadata.entry(switch).or_insert(on);
    let state_dir = app.read(|reader| Ok(reader.state_dir().to_owned())).await?;
    let (id, artifact) = app.block(move || store_bytes(&state_dir, lines(body, endpoint))).await?;
    let row = FileRow {
        id,
        artifact,
        filename: "start.jsonl".to_owned(),
        purpose: "batch".to_owned(),
        created_at: jiff::Timestamp::now(),
        expires_at: None,
    };
    let file = app.write(move |store| Ok(store.add_file(&row)?)).await?;
    add(&app, NewBatch::new(file, (endpoint.as_str(), &window), metadata, None)?).await
}

/// One line for each prompt, in the form of a batch file.
fn lines(body: StartBody, endpoint: Endpoint) -> Vec<u8> {
    let mut text = Vec::new();
    let mut common = body.options;
    common.extend(body.max_tokens.map(|tokens| ("max_tokens".to_owned(), json!(tokens))));
    common.extend(body.temperature.map(|temperature| ("temperature".to_owned(), json!(temperature))));
    for (index, entry) in body.input.into_iter().enumerate() {
        let mut own = match entry {
            Value::Object(own) => own,
            Value::String(prompt) => Map::from_iter([("prompt".to_owned(), Value::String(prompt))]),
            // Its error line says what is wrong with it.
            other => Map::from_iter([("prompt".to_owned(), other)]),
        };
        let id = own.remove("custom_id").unwrap_or_else(|| json!(format!("request-{}", index + 1)));
        let mut request = common.clone();
        request.insert("model".to_owned(), json!(body.model));
        request.extend(own);
        let line = json!({ "custom_id": id, "method": "POST", "url": endpoint.as_str(), "body": request });
        text.extend_from_slice(line.to_string().as_bytes());
        text.push(b'\n');
    }
    text
}

pub async fn status(State(app): State<AppState>, PathOf(batch): PathOf<String>) -> Result<Json<StatusForm>, Problem> {
    let (form, run) = app
        .read(move |reader| {
            let situation = find(reader, &batch)?;
            Ok((BatchForm::of(reader, &situation)?, situation.run.map(|run| run.id)))
        })
        .await?;
    let Some(run) = run else { return Ok(Json(StatusForm { batch: form, tokens_per_second: None, effort: None })) };
    let tokens_per_second = app
        .read(move |reader| {
            let Some(step) = reader.running_steps(run)?.into_iter().next() else { return Ok(None) };
            let newest = reader.newest_measurement(run, &step.id)?;
            Ok(newest.and_then(|newest| newest.values.get("tokens_per_second").copied()))
        })
        .await?;
    let effort = app.ask(move |desk| desk.effort(run)).await?;
    Ok(Json(StatusForm { batch: form, tokens_per_second, effort: Some(Anything(effort)) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_a_text_or_an_object_and_what_is_neither_becomes_a_line_all_the_same() {
        let body = json!({ "model": "m", "max_tokens": 5, "input":
            ["a", { "prompt": "b", "max_tokens": 7, "custom_id": "x" }, 3, {}] });
        let body: StartBody = serde_json::from_value(body).unwrap();
        let text = String::from_utf8(lines(body, Endpoint::Completions)).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0]["custom_id"], "request-1");
        assert_eq!(lines[0]["body"], json!({ "max_tokens": 5, "model": "m", "prompt": "a" }));
        assert_eq!((&lines[1]["custom_id"], &lines[1]["body"]["max_tokens"]), (&json!("x"), &json!(7)));
        assert_eq!(lines[2]["body"]["prompt"], json!(3));
        assert!(lines[3]["body"].get("prompt").is_none());
    }
}
