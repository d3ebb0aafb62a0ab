//! Files from which all contestants start: shape, plan, initial weights, tokens, batches.
//!
//! Unless a token file is given, the text is drawn: tokens follow Zipf's law, and the previous token determines half of
//! them, so that there is something to learn. The text is one long document, so that attention is only causal: the
//! fastest path of every implementation.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::options::TrainOptions;
use crate::error::BenchError;
use stepwell_base::rng::{Rng, derive_seed};
use stepwell_base::token_file::{Header, Unit, Width};
use stepwell_train::data::{Sampler, TokenShard, TokenStream};
use stepwell_train::model::config::ModelConfig;
use stepwell_train::model::weight_specs;
use stepwell_train::model::weights;
use stepwell_train::optim::OptimizerConfig;
use stepwell_train::precision::Precision;
use stepwell_train::training::phase::Phase;
use stepwell_train::training::plan::Plan;
use stepwell_train::training::schedule::{Schedule, ScheduleKind};

const SEED: u64 = 1;
const BOS: u32 = 0;
const EOS: u32 = 1;
const CONFIG: &str = "config.json";
const TOKENS: &str = "tokens.bin";
const PHASE: &str = "main";
const WARM_UP_STEPS: u64 = 20;

/// Content of `config.json`, which both sides read.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Material {
    pub shape: ModelConfig,
    pub plan: Plan,
    pub optimizer: OptimizerConfig,
    /// One rate per step, so that only we implement the schedule.
    pub learning_rates: Vec<f64>,
    /// Name of our backend.
    pub device: String,
}

impl Material {
    pub fn new(options: &TrainOptions, device: &str) -> Result<Material, BenchError> {
        let shape = options.shape()?;
        let steps = options.total_steps() as u64;
        let phase = Phase::new(PHASE, steps, shape.context);
        let warmup_steps = Some(WARM_UP_STEPS.min(steps));
        let plan = Plan {
            seed: SEED,
            batch: options.samples(),
            accumulation: 1,
            learning_rate: options.learning_rate,
            schedule: Schedule { kind: ScheduleKind::Constant, warmup_steps, ..Schedule::default() },
            clip: 1.0,
            checkpoint_every: Some(u64::MAX),
            freeze_layers: options.freeze_layers,
            precision: Precision::default(),
            z_loss: options.z_loss,
            phases: vec![phase],
            ..Plan::default()
        };
        plan.validate()?;
        let learning_rates = (0..steps).map(|step| plan.learning_rate(step)).collect();
        let (optimizer, device) = (OptimizerConfig::default(), device.to_owned());
        Ok(Material { shape, plan, optimizer, learning_rates, device })
    }

    /// Writes everything into `folder`. The text is that of the token file `given`, or drawn.
    pub fn write(&self, folder: &Path, given: Option<&Path>) -> Result<(), BenchError> {
        let write = |name: &str, bytes: Vec<u8>| {
            fs::write(folder.join(name), bytes).map_err(BenchError::system("write the temporary folder"))
        };
        let config = serde_json::to_vec_pretty(self).map_err(|error| BenchError::system("write JSON")(error.into()))?;
        write(CONFIG, config)?;
        let tensors: Vec<_> = weight_specs(&self.shape).iter().map(|spec| spec.generate(SEED)).collect();
        write("weights.safetensors", weights::save(tensors))?;
        match given {
            Some(path) => self.take(path, &folder.join(TOKENS))?,
            None => write(TOKENS, self.token_file())?,
        }
        let sampler = self.sampler(folder)?;
        let mut batches = Vec::new();
        for step in 0..self.plan.steps() {
            let rows = sampler.rows(self.plan.cursor(step), self.plan.samples_at(step));
            let ids = rows.iter().flat_map(|row| row.ids.iter().map(|id| *id as i32));
            let targets = rows.iter().flat_map(|row| row.targets.iter().copied());
            batches.extend(ids.chain(targets).flat_map(i32::to_le_bytes));
        }
        write("batches.bin", batches)
    }

    /// Reads the settings that [`Material::write`] has written.
    pub fn read(folder: &Path) -> Result<Material, BenchError> {
        let bytes = fs::read(folder.join(CONFIG)).map_err(BenchError::system("read the temporary folder"))?;
        serde_json::from_slice(&bytes).map_err(|error| BenchError::system("read JSON")(error.into()))
    }

    /// Samples of the token file, read as training reads them.
    pub fn sampler(&self, folder: &Path) -> Result<Sampler, BenchError> {
        let shard = TokenShard::open(&folder.join(TOKENS), TOKENS)?;
        let stream = Arc::new(TokenStream::new(vec![shard])?);
        Ok(Sampler::new(SEED, PHASE, stream, self.shape.context)?)
    }

    /// Copies a token file that every contestant can read.
    fn take(&self, path: &Path, to: &Path) -> Result<(), BenchError> {
        let shard = TokenShard::open(path, &path.display().to_string())?;
        let refused = |what: String| Err(BenchError::Tokens { path: path.to_owned(), what });
        let (header, vocab) = (shard.header(), self.shape.vocab_size);
        if header.documents != 1 {
            return refused(format!("it has {} documents, and PyTorch would look across their ends", header.documents));
        }
        if header.vocab as usize > vocab {
            return refused(format!("its vocabulary of {} is larger than the model's of {vocab}", header.vocab));
        }
        if header.tokens <= self.shape.context as u64 {
            return refused(format!("it has {} tokens, no more than the context", header.tokens));
        }
        fs::copy(path, to).map(drop).map_err(BenchError::system("copy the token file"))
    }

    /// Encodes one document that gives each step its own samples.
    fn token_file(&self) -> Vec<u8> {
        let vocab = self.shape.vocab_size as u32;
        let samples = self.plan.cursor(self.plan.steps());
        let tokens = samples * self.shape.context as u64 + 1;
        let width = Width::for_vocab(vocab);
        let text_bytes = 4 * tokens;
        let header = Header {
            width,
            documents: 1,
            tokens,
            text_bytes,
            bos: BOS,
            eos: EOS,
            vocab,
            masked: false,
            unit: Unit::Document,
        };
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(&tokens.to_le_bytes());
        let mut rng = Rng::new(derive_seed(SEED, "bench/text", 0));
        let mut token = BOS;
        for place in 0..tokens {
            token = match place {
                0 => BOS,
                place if place + 1 == tokens => EOS,
                _ => next(token, vocab, &mut rng),
            };
            bytes.extend_from_slice(&token.to_le_bytes()[..width.bytes()]);
        }
        bytes
    }
}

/// Draws the token after `token`; never BOS or EOS.
fn next(token: u32, vocab: u32, rng: &mut Rng) -> u32 {
    let words = u64::from(vocab - 2);
    let word = if rng.below(2) == 0 {
        derive_seed(SEED, "bench/successor", u64::from(token)) % words
    } else {
        // Log-uniform ranks: rank r has a probability near 1 / r.
        ((words as f64).powf(rng.uniform()) as u64 - 1).min(words - 1)
    };
    2 + word as u32
}

#[cfg(test)]
mod tests {
    use super::super::mode::Mode;
    use super::*;

    fn options() -> TrainOptions {
        TrainOptions {
            preset: "tiny".to_owned(),
            batch: Some(3),
            context: Some(16),
            tokens: None,
            torch: vec![Mode::F32],
            threads: vec![1],
            rounds: 2,
            steps: 4,
            learning_rate: 1e-3,
            freeze_layers: 0,
            z_loss: 0.0,
            precisions: vec![Precision::F32],
            device: "flex".to_owned(),
            python: "python3".into(),
        }
    }

    #[test]
    fn the_batches_are_those_of_the_sampler_and_of_one_document() {
        let folder = tempfile::tempdir().unwrap();
        let material = Material::new(&options(), "flex").unwrap();
        material.write(folder.path(), None).unwrap();
        assert_eq!(Material::read(folder.path()).unwrap(), material);
        assert_eq!(material.learning_rates.len(), 10);
        let bytes = fs::read(folder.path().join("batches.bin")).unwrap();
        assert_eq!(bytes.len(), 10 * 2 * 3 * 16 * 4);
        let word = |at: usize| i32::from_le_bytes(bytes[4 * at..4 * at + 4].try_into().unwrap());
        let sampler = material.sampler(folder.path()).unwrap();
        assert_eq!(sampler.samples(), 30);
        let rows = sampler.rows(3, 3);
        // The second step: ids, then targets.
        assert_eq!(word(2 * 48), rows[0].ids[0] as i32);
        assert_eq!(word(3 * 48 + 47), rows[2].targets[15]);
        assert!(sampler.rows(0, 30).iter().all(|row| row.starts.iter().all(|start| *start == 0)));
    }

    #[test]
    fn a_token_file_is_trained_on_if_it_is_one_document_of_a_known_vocabulary() {
        let folder = tempfile::tempdir().unwrap();
        let material = Material::new(&options(), "flex").unwrap();
        let vocab = material.shape.vocab_size as u32;
        let given = folder.path().join("given");
        let header = |documents: u64, vocab: u32| {
            let header = Header {
                width: Width::U16,
                documents,
                tokens: 40,
                text_bytes: 99,
                bos: BOS,
                eos: EOS,
                vocab,
                masked: false,
                unit: Unit::Document,
            };
            let ends = (1..=documents).flat_map(|document| (40 * document / documents).to_le_bytes());
            let ids = (0..40u16).flat_map(u16::to_le_bytes);
            fs::write(&given, header.encode().into_iter().chain(ends).chain(ids).collect::<Vec<_>>()).unwrap();
            material.write(folder.path(), Some(&given))
        };
        header(1, vocab).unwrap();
        let rows = material.sampler(folder.path()).unwrap().rows(0, 3);
        assert!(rows.iter().any(|row| row.ids[..4] == [16, 17, 18, 19]), "{rows:?}");
        for (documents, vocab, why) in [(2, vocab, "2 documents"), (1, vocab + 1, "larger than the model's")] {
            let error = header(documents, vocab).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn text_has_frequent_tokens_and_none_that_ends_a_document() {
        let mut rng = Rng::new(3);
        let mut token = BOS;
        let mut low = 0;
        for _ in 0..10_000 {
            token = next(token, 32_000, &mut rng);
            assert!((2..32_000).contains(&token));
            low += usize::from(token < 102);
        }
        assert!((1_500..4_000).contains(&low), "{low} of 10,000 are among the first hundred");
    }
}
