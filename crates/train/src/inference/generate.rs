//! Text generation: greedy, or sampled with temperature, top-k and top-p.

use super::decoder::{Cache, Decoder};
use super::options::GenerateOptions;
use super::sampling::sample;
use crate::cpu::thread_team;
use crate::model::Transformer;
use crate::model::config::ModelConfig;
use stepwell_base::rng::{Rng, derive_seed};

/// Generates the tokens that follow `prompt`, up to but excluding `eos`. An empty prompt starts from `eos`, as a new
/// document does.
///
/// The model sees at most `context` tokens. When the context is full, generation continues from its last half. Of a
/// longer prompt, the model sees the last `context` tokens.
///
/// # Panics
/// When the prompt holds an id outside the vocabulary.
pub fn generate(model: &Transformer, prompt: &[u32], options: &GenerateOptions, eos: u32) -> Vec<u32> {
    generate_with(&Decoder::new(model), prompt, options, eos)
}

/// [`generate`] with weights that are already on the host, for many prompts.
///
/// # Panics
/// Under the conditions of [`generate`].
pub fn generate_with(decoder: &Decoder, prompt: &[u32], options: &GenerateOptions, eos: u32) -> Vec<u32> {
    let sequence = [(prompt, options)];
    generate_each(decoder, &sequence, eos).pop().expect("one prompt has one answer")
}

/// [`generate_with`] for several prompts at once, with the same tokens: each step reads the weights once for all of
/// them.
///
/// # Panics
/// Under the conditions of [`generate`].
pub fn generate_each(decoder: &Decoder, prompts: &[(&[u32], &GenerateOptions)], eos: u32) -> Vec<Vec<u32>> {
    let context = decoder.config().context;
    let mut sequences: Vec<Sequence<'_>> =
        prompts.iter().map(|(prompt, options)| Sequence::new(prompt, options, eos, context)).collect();
    let group = decoder.group(sequences.len());
    thread_team::each(sequences.chunks_mut(group), |sequences| complete(decoder, sequences, eos));
    sequences.into_iter().map(|mut sequence| sequence.tokens.split_off(sequence.prompt_len)).collect()
}

/// Continues until all sequences have ended, one token of each at a time.
fn complete(decoder: &Decoder, sequences: &mut [Sequence<'_>], eos: u32) {
    let ModelConfig { context, vocab_size, .. } = *decoder.config();
    loop {
        let mut active: Vec<&mut Sequence<'_>> =
            sequences.iter_mut().filter(|sequence| !sequence.is_complete()).collect();
        if active.is_empty() {
            return;
        }
        let mut inputs = Vec::with_capacity(active.len());
        for sequence in &mut active {
            sequence.shorten_context(context);
            inputs.push((&mut sequence.cache, &sequence.tokens[sequence.unseen..]));
        }
        let scores = decoder.extend_each(&mut inputs);
        for (sequence, scores) in active.into_iter().zip(scores.chunks_exact(vocab_size)) {
            sequence.append_next(scores, eos);
        }
    }
}

/// A text that is being continued.
struct Sequence<'a> {
    options: &'a GenerateOptions,
    tokens: Vec<u32>,
    /// Number of leading tokens that are the prompt.
    prompt_len: usize,
    /// Index of the first token that the model has not seen.
    unseen: usize,
    cache: Cache,
    ended: bool,
}

impl<'a> Sequence<'a> {
    fn new(prompt: &[u32], options: &'a GenerateOptions, eos: u32, context: usize) -> Self {
        let tokens = if prompt.is_empty() { vec![eos] } else { prompt.to_vec() };
        let prompt_len = tokens.len();
        let unseen = prompt_len.saturating_sub(context);
        Sequence { options, tokens, prompt_len, unseen, cache: Cache::default(), ended: false }
    }

    fn is_complete(&self) -> bool {
        self.ended || self.tokens.len() - self.prompt_len >= self.options.max_new_tokens
    }

    /// Restarts from the last half of the context when it is full.
    fn shorten_context(&mut self, context: usize) {
        if self.cache.len() + self.tokens.len() - self.unseen > context {
            self.cache = Cache::default();
            self.unseen = self.tokens.len() - (context / 2).max(1);
        }
    }

    fn append_next(&mut self, scores: &[f32], eos: u32) {
        self.unseen = self.tokens.len();
        let seed = derive_seed(self.options.seed, "generate", (self.tokens.len() - self.prompt_len) as u64);
        let next = sample(scores, self.options, &mut Rng::new(seed));
        if next == eos { self.ended = true } else { self.tokens.push(next) }
    }
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests {
    use burn::tensor::{Device, Int, Tensor, TensorData};

    use super::*;
    use crate::cpu::thread_team::with_threads;
    use crate::model::config::{Ffn, ModelConfig};

    const NO_EOS: u32 = u32::MAX;

    /// Small embeddings and large projections: otherwise an untrained model with tied weights repeats its input.
    fn model(config: ModelConfig) -> Transformer {
        let config = ModelConfig { vocab_size: 97, context: 80, init_std: 0.4, ..config };
        let mut tensors = Transformer::init(&config, 3, &Device::flex()).to_named();
        tensors[0].data.iter_mut().for_each(|x| *x *= 0.2);
        let tensors = tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        Transformer::from_named(&config, &tensors, &Device::flex()).expect("its own weights")
    }

    fn tiny() -> ModelConfig {
        ModelConfig::preset("tiny").expect("a preset")
    }

    fn shapes() -> [ModelConfig; 3] {
        let qwen = ModelConfig { heads: 4, kv_heads: 2, head_dim: 10, qk_norm: true, norm_eps: 1e-6, ..tiny() };
        [tiny(), qwen, ModelConfig { ffn: Ffn::Gelu { hidden: 100 }, ..tiny() }]
    }

    /// Scores after the last token, computed by the full forward pass.
    fn full_forward(model: &Transformer, tokens: &[u32]) -> Vec<f32> {
        let ids: Vec<i32> = tokens.iter().map(|id| *id as i32).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, tokens.len()]), &Device::flex());
        let logits: Vec<f32> =
            model.logits(ids, &vec![0; tokens.len()]).into_data().try_into_vec().expect("f32 values");
        logits[logits.len() - model.config().vocab_size..].to_vec()
    }

    fn likeliest(scores: &[f32]) -> u32 {
        sample(scores, &GenerateOptions::default(), &mut Rng::new(0))
    }

    /// Equal bit for bit: both sum everything in the same order.
    #[test]
    fn the_cache_gives_the_scores_of_the_full_forward() {
        for config in shapes() {
            let model = model(config);
            let decoder = Decoder::new(&model);
            let mut tokens = vec![5, 17, 80, 2, 33];
            let mut cache = Cache::default();
            let mut scores = decoder.extend(&mut cache, &tokens);
            let mut seen = std::collections::BTreeSet::new();
            for step in 0..64 {
                let expected = full_forward(&model, &tokens);
                assert_eq!(scores, expected, "token {step}");
                seen.insert(likeliest(&scores));
                tokens.push(step * 31 % 97);
                scores = decoder.extend(&mut cache, &tokens[tokens.len() - 1..]);
            }
            assert!(seen.len() > 10, "varied predictions, not {seen:?}");
        }
    }

    #[test]
    fn a_text_in_pieces_has_the_scores_of_the_whole() {
        for config in shapes() {
            let decoder = Decoder::new(&model(config));
            let tokens: Vec<u32> = (0..40).map(|token| token * 31 % 97).collect();
            let whole = decoder.extend(&mut Cache::default(), &tokens);
            for piece in [1, 7, 33] {
                let mut cache = Cache::default();
                let scores = tokens.chunks(piece).map(|piece| decoder.extend(&mut cache, piece)).last();
                assert_eq!(scores.as_ref(), Some(&whole), "pieces of {piece}");
            }
        }
    }

    #[test]
    fn greedy_generation_equals_the_full_forward_token_for_token() {
        for config in shapes() {
            let model = model(config);
            let prompt = [5, 17, 80, 2, 33];
            let mut tokens = prompt.to_vec();
            for _ in 0..64 {
                tokens.push(likeliest(&full_forward(&model, &tokens)));
            }
            let greedy = GenerateOptions { max_new_tokens: 64, ..GenerateOptions::default() };
            assert_eq!(generate(&model, &prompt, &greedy, NO_EOS), tokens[5..]);
        }
    }

    /// Prompts of different lengths; some end early and some outgrow the context. Each thread has several prompts,
    /// but not all have equally many.
    #[test]
    fn several_prompts_at_a_time_give_the_tokens_of_each_alone() {
        for config in shapes() {
            let model = model(config);
            let decoder = Decoder::new(&model);
            let lengths = [3, 1, 60, 17, 0].into_iter().cycle().take(17);
            let prompts: Vec<Vec<u32>> = lengths.map(|length| (0..length).map(|i| i * 31 % 97).collect()).collect();
            let options: Vec<GenerateOptions> = (0..17)
                .map(|seed| GenerateOptions {
                    max_new_tokens: 25 + seed as usize % 5,
                    temperature: 1.5,
                    seed,
                    ..Default::default()
                })
                .collect();
            let eos = generate_with(&decoder, &prompts[1], &options[1], NO_EOS)[3];
            let alone: Vec<Vec<u32>> = prompts
                .iter()
                .zip(&options)
                .map(|(prompt, options)| generate_with(&decoder, prompt, options, eos))
                .collect();
            assert!(alone[1].len() <= 3 && alone.iter().any(|tokens| tokens.len() > 20), "{alone:?}");
            let together: Vec<(&[u32], &GenerateOptions)> = prompts.iter().map(Vec::as_slice).zip(&options).collect();
            // 17 sequences form groups for two threads and are too few for three.
            for threads in [1, 2, 3] {
                assert_eq!(
                    with_threads(threads, || generate_each(&decoder, &together, eos)),
                    alone,
                    "{threads} threads"
                );
            }
        }
    }

    #[test]
    fn a_full_context_continues_from_its_last_half() {
        let model = model(tiny());
        let prompt: Vec<u32> = (0..100).map(|token| token % 97).collect();
        let options = GenerateOptions { max_new_tokens: 50, ..GenerateOptions::default() };
        let found = generate(&model, &prompt, &options, NO_EOS);

        let mut tokens = prompt.clone();
        let mut first = 20;
        for _ in 0..50 {
            if tokens.len() - first > 80 {
                first = tokens.len() - 40;
            }
            tokens.push(likeliest(&full_forward(&model, &tokens[first..])));
        }
        assert_eq!(found, tokens[100..]);
    }

    #[test]
    fn generation_ends_before_eos() {
        let model = model(tiny());
        let options = GenerateOptions { max_new_tokens: 10, ..GenerateOptions::default() };
        let free = generate(&model, &[1, 2], &options, NO_EOS);
        let stopped = generate(&model, &[1, 2], &options, free[4]);
        let until = free.iter().position(|token| *token == free[4]).expect("it is there");
        assert_eq!(stopped, free[..until]);
        assert_eq!(generate(&model, &[], &options, 7), generate(&model, &[7], &options, 7));
    }

    #[test]
    fn sampling_is_a_function_of_the_seed() {
        let model = model(tiny());
        let sample = |seed, top_k| {
            let (temperature, top_p) = (2.0, Some(0.9));
            let options = GenerateOptions { max_new_tokens: 20, temperature, top_k, top_p, seed, ..Default::default() };
            generate(&model, &[1, 2], &options, NO_EOS)
        };
        assert_eq!(sample(1, None), sample(1, None));
        assert_ne!(sample(1, None), sample(2, None));
        let greedy = generate(&model, &[1, 2], &GenerateOptions { max_new_tokens: 20, ..Default::default() }, NO_EOS);
        assert_eq!(sample(1, Some(1)), greedy);
    }
}
