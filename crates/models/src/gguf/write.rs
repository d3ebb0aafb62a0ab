//! Writes a model as a GGUF file for llama.cpp.

use std::io::{self, Write};

use crate::error::Problem;
use crate::model::Model;
use crate::shape::{Part, Place, RopeKind, Shape};
use crate::tensor::Stored;

use super::names;
use super::write_tokenizer::TokenizerKeys;

/// Element type of the matrices of a written file. Norms and biases stay F32.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GgufType {
    F32,
    F16,
    Q8_0,
}

const ALIGNMENT: u64 = 32;

/// An error of the model, or of the file that is written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("the model has no GGUF form: {0}")]
    Model(#[from] Problem),
    #[error("the file cannot be written")]
    Io(#[from] io::Error),
}

/// A tensor to write; its rows are those of the file.
struct Tensor {
    name: String,
    place: Option<Place>,
    rows: usize,
    columns: usize,
    stored: Stored,
}

impl Tensor {
    fn bytes(&self) -> u64 {
        let row = self.stored.row_bytes(self.columns).unwrap_or_default();
        row as u64 * self.rows as u64
    }
}

impl Model {
    /// Writes the model as a GGUF file of version 3.
    ///
    /// # Errors
    /// `Model` for a variant or a tokenizer that llama.cpp has no name for, `Io`.
    pub fn write_gguf(&self, kind: GgufType, to: &mut dyn Write) -> Result<(), WriteError> {
        let factors = self.shape.frequency_factors()?;
        let tensors = self.tensors_of_gguf(kind, factors.is_some());
        let keys = keys(self, kind)?;
        let mut header = Header::default();
        header.bytes.extend_from_slice(b"GGUF");
        header.u32(3);
        header.u64(tensors.len() as u64);
        header.u64(keys.count);
        header.bytes.extend_from_slice(&keys.bytes);
        let mut offset = 0;
        for tensor in &tensors {
            header.text(&tensor.name);
            let dimensions: &[usize] =
                if tensor.rows == 1 { &[tensor.columns] } else { &[tensor.columns, tensor.rows] };
            header.u32(dimensions.len() as u32);
            dimensions.iter().for_each(|length| header.u64(*length as u64));
            header.u32(match tensor.stored {
                Stored::F16 => 1,
                Stored::Q8_0 => 8,
                _ => 0,
            });
            header.u64(offset);
            offset = (offset + tensor.bytes()).next_multiple_of(ALIGNMENT);
        }
        header.bytes.resize(header.bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        to.write_all(&header.bytes)?;
        for tensor in &tensors {
            self.write_tensor(tensor, factors.as_deref(), to)?;
        }
        Ok(())
    }

    fn tensors_of_gguf(&self, kind: GgufType, has_factors: bool) -> Vec<Tensor> {
        let tensor = |place: Place| {
            let (rows, columns) = self.shape.size(place).unwrap_or_default();
            let stored = match kind {
                _ if rows == 1 => Stored::F32,
                GgufType::F32 => Stored::F32,
                GgufType::Q8_0 if columns.is_multiple_of(32) => Stored::Q8_0,
                GgufType::F16 | GgufType::Q8_0 => Stored::F16,
            };
            Tensor { name: names::name(place), place: Some(place), rows, columns, stored }
        };
        let factors = has_factors.then(|| Tensor {
            name: "rope_freqs.weight".into(),
            place: None,
            rows: 1,
            columns: self.shape.head_dim / 2,
            stored: Stored::F32,
        });
        self.shape.places().map(tensor).chain(factors).collect()
    }

    fn write_tensor(&self, tensor: &Tensor, factors: Option<&[f32]>, to: &mut dyn Write) -> Result<(), WriteError> {
        let mut bytes = Vec::new();
        match tensor.place {
            None => factors.unwrap_or_default().iter().for_each(|factor| bytes.extend(factor.to_le_bytes())),
            Some(place) => {
                let source = self.tensor(place).map_err(|error| error.problem)?;
                let interleaved = matches!(place, Place::Layer(_, Part::Query | Part::Key)) && is_llama(&self.shape);
                let head_dim = self.shape.head_dim;
                let mut row = vec![0.0; tensor.columns];
                for index in 0..tensor.rows {
                    let (head, within) = (index / head_dim, index % head_dim);
                    let from = head * head_dim + within % 2 * (head_dim / 2) + within / 2;
                    source.row_into(if interleaved { from } else { index }, &mut row);
                    encode(tensor.stored, &row, &mut bytes);
                    if bytes.len() >= 1 << 20 {
                        to.write_all(&bytes)?;
                        bytes.clear();
                    }
                }
            }
        }
        let padding = tensor.bytes().next_multiple_of(ALIGNMENT) - tensor.bytes();
        bytes.resize(bytes.len() + padding as usize, 0);
        to.write_all(&bytes)?;
        Ok(())
    }
}

fn encode(stored: Stored, row: &[f32], to: &mut Vec<u8>) {
    match stored {
        Stored::F16 => row.iter().for_each(|value| to.extend(half::f16::from_f32(*value).to_le_bytes())),
        Stored::Q8_0 => row.chunks_exact(32).for_each(|block| {
            let largest = block.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let scale = largest / 127.0;
            let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
            to.extend(half::f16::from_f32(scale).to_le_bytes());
            to.extend(block.iter().map(|value| ((value * inverse).round() as i8).cast_unsigned()));
        }),
        _ => row.iter().for_each(|value| to.extend(value.to_le_bytes())),
    }
}

fn is_llama(shape: &Shape) -> bool {
    !shape.qk_norm && !shape.qkv_bias
}

impl Shape {
    /// Divisors of the frequencies where llama.cpp has no formula.
    fn frequency_factors(&self) -> Result<Option<Vec<f32>>, Problem> {
        let refused = |name: &str| Err(Problem::RopeType(name.to_owned()));
        match &self.rope.kind {
            RopeKind::Default | RopeKind::Linear { .. } => Ok(None),
            RopeKind::Factors(factors) => Ok(Some(factors.clone())),
            RopeKind::Llama3 { .. } => {
                let plain = crate::shape::Rope { kind: RopeKind::Default, ..self.rope.clone() }.inverse_frequencies(1);
                let scaled = self.rope.inverse_frequencies(1);
                Ok(Some(plain.iter().zip(scaled).map(|(plain, scaled)| plain / scaled).collect()))
            }
            RopeKind::Dynamic { .. } => refused("dynamic"),
            RopeKind::Yarn { .. } => refused("yarn"),
            RopeKind::Long { .. } => refused("longrope"),
        }
    }
}

fn keys(model: &Model, kind: GgufType) -> Result<Header, Problem> {
    let shape = &model.shape;
    let unknown = |what: &str| Err(Problem::Architecture(what.to_owned()));
    let prefix = match (shape.qk_norm, shape.qkv_bias) {
        (true, false) => "qwen3",
        (false, true) if !shape.output_bias => "qwen2",
        (false, false) => "llama",
        _ => return unknown("a model with these biases"),
    };
    if shape.output_bias || shape.mlp_bias {
        return unknown("a model with these biases");
    }
    if shape.windows.iter().any(Option::is_some) {
        return unknown("a model with a sliding window");
    }
    let mut keys = Header::default();
    keys.text_key("general.architecture", prefix);
    let counts = [
        ("context_length", shape.context),
        ("embedding_length", shape.hidden),
        ("block_count", shape.layers),
        ("feed_forward_length", shape.ffn),
        ("attention.head_count", shape.heads),
        ("attention.head_count_kv", shape.kv_heads),
        ("attention.key_length", shape.head_dim),
        ("attention.value_length", shape.head_dim),
        ("rope.dimension_count", shape.head_dim),
        ("vocab_size", shape.vocab),
    ];
    counts.iter().for_each(|(name, count)| keys.count_key(&format!("{prefix}.{name}"), *count as u32));
    keys.float_key(&format!("{prefix}.attention.layer_norm_rms_epsilon"), shape.norm_eps);
    keys.float_key(&format!("{prefix}.rope.freq_base"), shape.rope.theta as f32);
    if let RopeKind::Linear { factor } = shape.rope.kind {
        keys.text_key(&format!("{prefix}.rope.scaling.type"), "linear");
        keys.float_key(&format!("{prefix}.rope.scaling.factor"), factor as f32);
    }
    let file_type = match kind {
        GgufType::F32 => 0,
        GgufType::F16 => 1,
        GgufType::Q8_0 => 7,
    };
    keys.count_key("general.file_type", file_type);
    keys.count_key("general.quantization_version", 2);
    TokenizerKeys::of(model)?.write(&mut keys);
    Ok(keys)
}

/// Bytes of a header, and the number of keys in it.
#[derive(Default)]
pub struct Header {
    bytes: Vec<u8>,
    count: u64,
}

impl Header {
    fn u32(&mut self, value: u32) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.u64(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn key(&mut self, name: &str, kind: u32) {
        self.count += 1;
        self.text(name);
        self.u32(kind);
    }

    pub fn count_key(&mut self, name: &str, value: u32) {
        self.key(name, 4);
        self.u32(value);
    }

    pub fn float_key(&mut self, name: &str, value: f32) {
        self.key(name, 6);
        self.bytes.extend(value.to_le_bytes());
    }

    pub fn flag_key(&mut self, name: &str, value: Flag) {
        self.key(name, 7);
        self.bytes.push(u8::from(value == Flag::True));
    }

    pub fn text_key(&mut self, name: &str, value: &str) {
        self.key(name, 8);
        self.text(value);
    }

    pub fn texts_key(&mut self, name: &str, values: &[String]) {
        self.key(name, 9);
        self.u32(8);
        self.u64(values.len() as u64);
        values.iter().for_each(|value| self.text(value));
    }

    pub fn numbers_key(&mut self, name: &str, values: &[i32]) {
        self.key(name, 9);
        self.u32(5);
        self.u64(values.len() as u64);
        values.iter().for_each(|value| self.bytes.extend(value.to_le_bytes()));
    }
}

/// A value of a key that is true or false.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flag {
    True,
    False,
}
