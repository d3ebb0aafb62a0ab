//! Settings of the engine for a request.

use std::sync::Arc;

use stepwell_base::ordered_json::Json;
use stepwell_batch::body::{Body, ResponseFormat};
use stepwell_batch::{Code, RowError};
use stepwell_inference::{Format, Grammar, SamplingOptions, SchemaError};
use stepwell_models::GenerationDefaults;

/// Settings of the engine; what the request leaves open are the model's own, as in vLLM.
pub(super) fn sampling(defaults: &GenerationDefaults, body: &Body, seed: u64) -> Result<SamplingOptions, RowError> {
    let options = &body.options;
    let single = |number: Option<f64>| number.map(|number| number as f32);
    let greedy = defaults.sample == Some(false);
    let temperature = if greedy { Some(0.0) } else { single(defaults.temperature) };
    if options.skip_special_tokens == Some(false) {
        return Err(unsupported("skip_special_tokens", "answers have none"));
    }
    Ok(SamplingOptions {
        max_tokens: options.max_tokens.map(|tokens| tokens.max(1) as usize),
        min_tokens: options.min_tokens as usize,
        temperature: options.temperature.or(temperature).unwrap_or(1.0),
        top_k: options.top_k.map(|k| k as usize).or(defaults.top_k).filter(|k| *k > 0),
        top_p: options.top_p.or(single(defaults.top_p)).unwrap_or(1.0),
        min_p: options.min_p.or(single(defaults.min_p)).unwrap_or(0.0),
        repetition_penalty: options.repetition_penalty.or(single(defaults.repetition_penalty)).unwrap_or(1.0),
        presence_penalty: options.presence_penalty,
        frequency_penalty: options.frequency_penalty,
        logit_bias: options.logit_bias.iter().map(|(id, bias)| (*id, *bias)).collect(),
        seed,
        n: options.n as usize,
        stop: options.stop.clone(),
        stop_token_ids: options.stop_token_ids.clone(),
        ignore_eos: options.ignore_eos,
        include_stop: options.include_stop_str_in_output,
        logprobs: options.logprobs.map(|count| count as usize),
        logprob_token_ids: options.logprob_token_ids.clone(),
        prompt_logprobs: options.prompt_logprobs.map(|count| count as usize),
        format: format(body)?,
    })
}

/// The form that a request wants, with the members of its schema in the order in which they were sent.
fn format(body: &Body) -> Result<Format, RowError> {
    const SCHEMA: &str = "response_format.json_schema.schema";
    let schema = match &body.options.response_format {
        ResponseFormat::Text => return Ok(Format::Text),
        ResponseFormat::JsonObject => return Ok(Format::Json),
        ResponseFormat::JsonSchema(schema) => schema,
    };
    let sent = body.ordered.as_ref();
    let sent = sent.and_then(|sent| SCHEMA.split('.').try_fold(sent, |json, name| json.get(name)));
    let grammar = match sent {
        Some(sent) => Grammar::of(sent, SCHEMA),
        None => Grammar::of(&Json::from(schema.clone()), SCHEMA),
    };
    let refused =
        |error: SchemaError| RowError::about(error.place.clone(), Code::UnsupportedParameter, error.to_string());
    grammar.map(|grammar| Format::Schema(Arc::new(grammar))).map_err(refused)
}

fn unsupported(param: &str, instead: &str) -> RowError {
    RowError::about(param, Code::UnsupportedParameter, format!("`{param}` is not supported here; {instead}"))
}
