//! How to sample: every parameter of the API, each with its bounds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fields::{self, Fields, integer, number, text, wrong_type};
use crate::error::{Code, RowError};

/// Most completions of one prompt, as OpenAI allows.
pub const MOST_CHOICES: i64 = 128;
/// Most log-probabilities per token, as vLLM and OpenAI allow.
pub const MOST_LOGPROBS: i64 = 20;
/// Longest completion that can be asked for. The context of the model is a further limit.
pub const MOST_TOKENS: i64 = 1 << 20;
/// Most stop strings, and bytes of each.
pub const MOST_STOPS: usize = 16;
pub const LONGEST_STOP: usize = 1024;
/// Most entries of `stop_token_ids` and of `logit_bias`.
pub const MOST_TOKEN_IDS: usize = 1024;
/// Largest token id that is accepted before the model is known.
const LARGEST_ID: i64 = u32::MAX as i64;

/// `None` leaves a parameter to the model's own defaults.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Options {
    pub max_tokens: Option<u32>,
    pub min_tokens: u32,
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    /// 0 means all tokens.
    pub top_k: Option<u32>,
    pub min_p: Option<f32>,
    pub repetition_penalty: Option<f32>,
    pub presence_penalty: f32,
    pub frequency_penalty: f32,
    pub seed: Option<i64>,
    pub n: u32,
    pub stop: Vec<String>,
    pub stop_token_ids: Vec<u32>,
    pub include_stop_str_in_output: bool,
    pub skip_special_tokens: Option<bool>,
    pub logit_bias: BTreeMap<u32, f32>,
    /// Log-probability of each token, and of so many likelier ones.
    pub logprobs: Option<u32>,
    /// With `logprobs`, those of these tokens too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logprob_token_ids: Vec<u32>,
    /// The same as `logprobs` for the prompt.
    pub prompt_logprobs: Option<u32>,
    pub ignore_eos: bool,
    pub response_format: ResponseFormat,
    pub stream: bool,
    pub stream_usage: bool,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseFormat {
    #[default]
    Text,
    JsonObject,
    JsonSchema(Value),
}

impl Options {
    /// Takes what both endpoints have in common. `logprobs` differs between them.
    pub(crate) fn take(fields: &mut Fields) -> Result<Options, RowError> {
        let unsigned = |value: i64| value as u32;
        let penalty = -2.0..=2.0;
        let options = Options {
            max_tokens: None,
            min_tokens: fields.integer("min_tokens", 0..=MOST_TOKENS)?.map_or(0, unsigned),
            temperature: fields.number("temperature", 0.0..=2.0)?,
            top_p: fields.number("top_p", 0.0..=1.0)?,
            top_k: fields.integer("top_k", -1..=LARGEST_ID)?.map(|k| unsigned(k.max(0))),
            min_p: fields.number("min_p", 0.0..=1.0)?,
            repetition_penalty: fields.number("repetition_penalty", 0.01..=10.0)?,
            presence_penalty: fields.number("presence_penalty", penalty.clone())?.unwrap_or(0.0),
            frequency_penalty: fields.number("frequency_penalty", penalty)?.unwrap_or(0.0),
            seed: fields.integer("seed", i64::MIN..=i64::MAX)?,
            n: fields.integer("n", 1..=MOST_CHOICES)?.map_or(1, unsigned),
            stop: stops(fields.take("stop"))?,
            stop_token_ids: token_ids("stop_token_ids", fields.list("stop_token_ids", MOST_TOKEN_IDS)?)?,
            include_stop_str_in_output: fields.flag("include_stop_str_in_output")?.unwrap_or(false),
            skip_special_tokens: fields.flag("skip_special_tokens")?,
            logit_bias: logit_bias(fields)?,
            logprobs: None,
            logprob_token_ids: Vec::new(),
            prompt_logprobs: fields.integer("prompt_logprobs", 0..=MOST_LOGPROBS)?.map(unsigned),
            ignore_eos: fields.flag("ignore_eos")?.unwrap_or(false),
            response_format: response_format(fields)?,
            stream: fields.flag("stream")?.unwrap_or(false),
            stream_usage: stream_usage(fields)?,
        };
        if options.top_p == Some(0.0) {
            return Err(RowError::about("top_p", Code::InvalidValue, "`top_p` is 0, it must be greater"));
        }
        if options.stream && options.prompt_logprobs.is_some() {
            let message = "`prompt_logprobs` is not supported with `stream` = true";
            return Err(RowError::about("prompt_logprobs", Code::UnsupportedParameter, message));
        }
        // They say who asks, or where else the answer should be kept; no answer depends on them.
        for name in ["user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"] {
            fields.text(name, 1024)?;
        }
        fields.object("metadata")?;
        fields.only("store", &[json!(false), json!(true)])?;
        fields.only("service_tier", &["auto", "default", "flex", "priority"].map(Value::from))?;
        fields.only("use_beam_search", &[json!(false)])?;
        fields.only("spaces_between_special_tokens", &[json!(true)])?;
        Ok(options)
    }

    /// True if the seed changes nothing.
    pub fn is_greedy(&self) -> bool {
        self.temperature == Some(0.0)
    }
}

fn stops(value: Option<Value>) -> Result<Vec<String>, RowError> {
    let items = match value {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(one) => vec![one],
    };
    if items.len() > MOST_STOPS {
        let message = format!("`stop` has {} items, at most {MOST_STOPS} are allowed", items.len());
        return Err(RowError::about("stop", Code::InvalidValue, message));
    }
    let stops = items.into_iter().map(|item| text("stop", item, LONGEST_STOP)).collect::<Result<Vec<_>, _>>()?;
    match stops.iter().any(String::is_empty) {
        true => Err(RowError::about("stop", Code::InvalidValue, "`stop` has an empty string, which is everywhere")),
        false => Ok(stops),
    }
}

pub(crate) fn token_ids(name: &str, items: Option<Vec<Value>>) -> Result<Vec<u32>, RowError> {
    let ids = items.unwrap_or_default();
    ids.iter().map(|id| integer(name, id, &(0..=LARGEST_ID)).map(|id| id as u32)).collect()
}

fn logit_bias(fields: &mut Fields) -> Result<BTreeMap<u32, f32>, RowError> {
    let biases = fields.object("logit_bias")?.unwrap_or_default();
    if biases.len() > MOST_TOKEN_IDS {
        let message = format!("`logit_bias` has {} entries, at most {MOST_TOKEN_IDS} are allowed", biases.len());
        return Err(RowError::about("logit_bias", Code::InvalidValue, message));
    }
    let entry = |(id, bias): (&String, &Value)| {
        let id = id.parse::<u32>().map_err(|_| {
            let message = format!("`logit_bias` has the key `{}`, which is no token id", fields::bounded(id));
            RowError::about("logit_bias", Code::InvalidValue, message)
        })?;
        Ok((id, number(&format!("logit_bias.{id}"), bias, &(-100.0..=100.0))?))
    };
    biases.iter().map(entry).collect()
}

fn response_format(fields: &mut Fields) -> Result<ResponseFormat, RowError> {
    let Some(mut format) = fields.object("response_format")? else { return Ok(ResponseFormat::Text) };
    let unknown = |kind: &Value| {
        let message = format!("`response_format.type` = {} is not supported", fields::quoted(kind));
        RowError::about("response_format.type", Code::UnsupportedParameter, message)
    };
    match format.remove("type") {
        Some(Value::String(kind)) if kind == "text" => Ok(ResponseFormat::Text),
        Some(Value::String(kind)) if kind == "json_object" => Ok(ResponseFormat::JsonObject),
        Some(Value::String(kind)) if kind == "json_schema" => match format.remove("json_schema") {
            Some(Value::Object(mut schema)) => match schema.remove("schema") {
                Some(schema @ Value::Object(_)) => Ok(ResponseFormat::JsonSchema(schema)),
                Some(other) => Err(wrong_type("response_format.json_schema.schema", "an object", &other)),
                None => Err(fields::missing("response_format.json_schema.schema")),
            },
            Some(other) => Err(wrong_type("response_format.json_schema", "an object", &other)),
            None => Err(fields::missing("response_format.json_schema")),
        },
        Some(other) => Err(unknown(&other)),
        None => Err(fields::missing("response_format.type")),
    }
}

fn stream_usage(fields: &mut Fields) -> Result<bool, RowError> {
    let Some(options) = fields.object("stream_options")? else { return Ok(false) };
    let mut options = Fields::new(options);
    let usage = options.flag("include_usage")?.unwrap_or(false);
    options
        .finish()
        .map_err(|error| RowError { param: error.param.map(|name| format!("stream_options.{name}")), ..error })?;
    Ok(usage)
}
