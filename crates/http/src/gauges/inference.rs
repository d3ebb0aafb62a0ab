//! What models and batches do: under the names of vLLM, for which dashboards exist, and under ours.

use super::family::{Family, Histogram, Numbers, Sample};
use crate::openai::{InferenceLoad, Latencies};

/// The numbers of the server's own worker of models.
pub fn families(load: &InferenceLoad, open_batches: usize) -> Vec<Family> {
    let mut families = vec![
        Family::gauge("stepwell_batches_open", "Batches that have not ended.", open_batches as f64),
        Family::gauge("stepwell_inference_requests_running", "Requests that a model answers now.", load.running as f64),
        Family::gauge("stepwell_inference_requests_waiting", "Requests that wait for a model.", load.waiting as f64),
        Family::counter("stepwell_inference_prompt_tokens", "Tokens of prompts.", load.prompt_tokens as f64),
        Family::counter(
            "stepwell_inference_generated_tokens",
            "Tokens that models made.",
            load.generated_tokens as f64,
        ),
    ];
    // vLLM has a label with the model everywhere; a server without a model has none of its numbers.
    let Some(model) = &load.model else { return families };
    let named = |value: f64| Sample { labels: vec![("model_name", model.clone())], value };
    let ended = load.ended.iter().map(|(reason, count)| Sample {
        labels: vec![("finished_reason", (*reason).to_owned()), ("model_name", model.clone())],
        value: *count as f64,
    });
    let counter = |name, help, samples| Family { name, help, numbers: Numbers::Counter(samples) };
    families.extend([
        Family::gauges(
            "vllm:num_requests_running",
            "Requests in the batch of the model.",
            vec![named(load.running as f64)],
        ),
        Family::gauges(
            "vllm:num_requests_waiting",
            "Requests that wait for a place.",
            vec![named(load.waiting as f64)],
        ),
        Family::gauges(
            "vllm:kv_cache_usage_perc",
            "Used part of the cache; 1 is all of it.",
            vec![named(load.cache_usage)],
        ),
        counter("vllm:prompt_tokens", "Tokens of prompts.", vec![named(load.prompt_tokens as f64)]),
        counter("vllm:generation_tokens", "Tokens that the model made.", vec![named(load.generated_tokens as f64)]),
        counter("vllm:request_success", "Requests that have ended, by reason.", ended.collect()),
        histogram("vllm:time_to_first_token_seconds", "Time until the first token.", &load.first_token),
        histogram("vllm:e2e_request_latency_seconds", "Time until the whole answer.", &load.whole),
    ]);
    families
}

fn histogram(name: &'static str, help: &'static str, latencies: &Latencies) -> Family {
    let histogram = Histogram { buckets: latencies.buckets(), sum: latencies.sum() };
    Family { name, help, numbers: Numbers::Histogram(histogram) }
}
