//! One line: the envelope of a request.

use serde_json::{Map, Value};

use stepwell_base::json::{self, Limit};
use stepwell_base::ordered_json::Json;

use crate::body::Endpoint;
use crate::error::{Code, RowError};

/// Longest `custom_id`, in bytes.
const LONGEST_ID: usize = 512;

/// A line whose envelope is sound. The body has not been looked at, except for the model.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    pub custom_id: String,
    pub endpoint: Endpoint,
    pub model: Option<String>,
    pub body: Map<String, Value>,
    /// The same body with its keys in their order, if a chat template may print some of them.
    pub ordered: Option<Json>,
}

/// True for a line that is no record.
pub fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

/// Reads one line. The second part of an error is the `custom_id`, if the line has one.
///
/// # Errors
/// When the line is no JSON object, or a field of the envelope is missing or wrong. Unknown fields beside them pass, as they
/// do in vLLM.
pub fn parse_line(line: &[u8], limit: u64) -> Result<Request, (RowError, Option<String>)> {
    let limit = Limit { depth: json::DEPTH, bytes: limit };
    let text = line;
    let parsed = json::parse::<Value>(line, limit).map_err(|error| {
        // The text is one line of a file, so the line of the parser is always 1.
        let why = error.to_string().replace("line 1, column", "column").replace("at line 1 column", "at column");
        (RowError::new(Code::InvalidJsonLine, format!("this line is no JSON: {why}")), None)
    })?;
    let Value::Object(mut line) = parsed else {
        return Err((RowError::new(Code::InvalidJsonLine, "this line is JSON, but no object"), None));
    };
    let custom_id = custom_id(line.remove("custom_id")).map_err(|error| (error, None))?;
    match envelope(line) {
        Ok((endpoint, body)) => {
            let model = body.get("model").and_then(Value::as_str).map(str::to_owned);
            let ordered = if order_counts(&body) { ordered_body(text) } else { None };
            Ok(Request { custom_id, endpoint, model, body, ordered })
        }
        Err(error) => Err((error, Some(custom_id))),
    }
}

/// True if a part of the body is shown to the model as JSON, or says in which order it writes members.
fn order_counts(body: &Map<String, Value>) -> bool {
    let messages = body.get("messages").and_then(Value::as_array);
    body.contains_key("tools")
        || body.contains_key("chat_template_kwargs")
        || body.get("response_format").is_some_and(|format| format.get("json_schema").is_some())
        || messages.into_iter().flatten().any(|message| message.get("tool_calls").is_some())
}

fn ordered_body(line: &[u8]) -> Option<Json> {
    serde_json::from_slice::<Json>(line).ok()?.get("body").cloned()
}

fn custom_id(value: Option<Value>) -> Result<String, RowError> {
    let wrong = |why: String| RowError::about("custom_id", Code::InvalidCustomId, why);
    match value {
        Some(Value::String(id)) if id.is_empty() => Err(wrong("`custom_id` is empty".to_owned())),
        Some(Value::String(id)) if id.len() > LONGEST_ID => {
            Err(wrong(format!("`custom_id` has {} bytes, at most {LONGEST_ID} are allowed", id.len())))
        }
        Some(Value::String(id)) => Ok(id),
        None | Some(Value::Null) => {
            Err(RowError::about("custom_id", Code::MissingRequiredParameter, "`custom_id` is missing"))
        }
        Some(_) => Err(wrong("`custom_id` must be a string".to_owned())),
    }
}

fn envelope(mut line: Map<String, Value>) -> Result<(Endpoint, Map<String, Value>), RowError> {
    let missing = |name: &str| RowError::about(name, Code::MissingRequiredParameter, format!("`{name}` is missing"));
    match line.remove("method") {
        Some(Value::String(method)) if method == "POST" => {}
        Some(other) => {
            let message = format!("`method` must be \"POST\", it is {}", short(&other));
            return Err(RowError::about("method", Code::InvalidMethod, message));
        }
        None => return Err(missing("method")),
    }
    let endpoint = match line.remove("url") {
        Some(Value::String(url)) => Endpoint::find(&url).ok_or_else(|| {
            let known: Vec<&str> = Endpoint::ALL.iter().map(|endpoint| endpoint.as_str()).collect();
            let message = format!("`url` is {}, it must be one of {}", short(&Value::from(url)), known.join(", "));
            RowError::about("url", Code::InvalidUrl, message)
        })?,
        Some(_) => return Err(RowError::about("url", Code::InvalidUrl, "`url` must be a string")),
        None => return Err(missing("url")),
    };
    match line.remove("body") {
        Some(Value::Object(body)) => Ok((endpoint, body)),
        Some(_) => Err(RowError::about("body", Code::InvalidType, "`body` must be an object")),
        None => Err(missing("body")),
    }
}

fn short(value: &Value) -> String {
    crate::body::quoted(value)
}
