//! A model's weights, packed for products.

use std::io;

use stepwell_models::{Part, Place, Shape};

use super::rope::Frequencies;
use super::source::Source;
use crate::kernels::{Dtype, HeadLayout, Matrix, Q8Block, Rows, Workers};

/// Weights that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the model's shape cannot be: {0}")]
    Shape(&'static str),
    #[error("the system has not enough memory for the weights")]
    Memory(#[source] io::Error),
}

/// A model, ready for inference.
pub struct Network {
    pub(super) sizes: Sizes,
    pub(super) frequencies: Frequencies,
    /// `None` if it is the head.
    pub(super) embedding: Option<Matrix>,
    pub(super) head: Matrix,
    pub(super) final_norm: Vec<f32>,
    pub(super) layers: Vec<Layer>,
}

/// Weights of a layer. Projections that read the same input are one matrix.
pub(super) struct Layer {
    pub input_norm: Vec<f32>,
    /// Queries, keys and values.
    pub qkv: Matrix,
    /// Empty if there is none; so are the other biases.
    pub qkv_bias: Vec<f32>,
    /// Norms of query heads and of key heads.
    pub head_norms: Option<[Vec<f32>; 2]>,
    pub output: Matrix,
    pub output_bias: Vec<f32>,
    pub ffn_norm: Vec<f32>,
    /// Gate and up.
    pub ffn_in: Matrix,
    pub ffn_in_bias: Vec<f32>,
    pub down: Matrix,
    pub down_bias: Vec<f32>,
    pub window: Option<usize>,
}

/// Sizes that the forward pass needs.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub vocab: usize,
    pub hidden: usize,
    pub layers: usize,
    pub heads: HeadLayout,
    pub norm_eps: f32,
}

impl Sizes {
    /// # Errors
    /// [`LoadError::Shape`] if the sizes contradict each other.
    pub fn of(shape: &Shape) -> Result<Self, LoadError> {
        let Shape { vocab, hidden, layers, heads, kv_heads, head_dim, norm_eps, .. } = *shape;
        let sizes = [vocab, hidden, layers, heads, kv_heads, head_dim, shape.ffn, shape.context];
        let wrong = match () {
            () if sizes.contains(&0) => "a size is 0",
            () if heads % kv_heads != 0 => "the query heads are no multiple of the key heads",
            () if head_dim % 2 != 0 || shape.rope.dim != head_dim => "rotary positions do not cover a head",
            () if shape.windows.len() != layers || shape.windows.contains(&Some(0)) => "a window is missing or 0",
            () => {
                return Ok(Sizes { vocab, hidden, layers, heads: HeadLayout { heads, kv_heads, head_dim }, norm_eps });
            }
        };
        Err(LoadError::Shape(wrong))
    }
}

impl Network {
    /// Packs all weights, for sequences of up to `context` tokens.
    ///
    /// # Errors
    /// [`LoadError`] if the sizes contradict each other, or if memory is short.
    pub fn load(workers: &Workers, dtype: Dtype, source: &dyn Source, context: usize) -> Result<Self, LoadError> {
        let shape = source.shape();
        let sizes = Sizes::of(shape)?;
        let loader = Loader { workers, dtype, source };
        let embedding = (!shape.tied).then(|| loader.matrix(&[Place::Embedding], shape.hidden)).transpose()?;
        let head = if shape.tied { Place::Embedding } else { Place::Head };
        let head = loader.matrix(&[head], shape.hidden)?;
        source.release();
        Ok(Network {
            sizes,
            frequencies: Frequencies::of(&shape.rope, context),
            embedding,
            head,
            final_norm: loader.vector(&[Place::FinalNorm]),
            layers: (0..shape.layers).map(|layer| loader.layer(layer)).collect::<Result<_, _>>()?,
        })
    }

    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// See [`Frequencies::extends`].
    pub fn extends(&self, tokens: usize) -> bool {
        self.frequencies.extends(tokens)
    }

    /// Multiplications of all layers for one token, without those of attention.
    pub fn products(&self) -> usize {
        let layers = self.layers.iter().flat_map(|layer| [&layer.qkv, &layer.output, &layer.ffn_in, &layer.down]);
        layers.map(|matrix| matrix.outputs() * matrix.inputs()).sum()
    }

    /// Bytes of weights that decoding one token reads.
    pub fn bytes(&self) -> usize {
        let layers = self.layers.iter().flat_map(|layer| [&layer.qkv, &layer.output, &layer.ffn_in, &layer.down]);
        layers.chain([&self.head]).map(Matrix::bytes).sum()
    }
}

struct Loader<'a> {
    workers: &'a Workers,
    dtype: Dtype,
    source: &'a dyn Source,
}

impl Loader<'_> {
    fn layer(&self, layer: usize) -> Result<Layer, LoadError> {
        let shape = self.source.shape();
        let at = |part| Place::Layer(layer, part);
        let matrix =
            |parts: &[Part], inputs| self.matrix(&parts.iter().map(|part| at(*part)).collect::<Vec<_>>(), inputs);
        let vector = |parts: &[Part]| self.vector(&parts.iter().map(|part| at(*part)).collect::<Vec<_>>());
        let layer = Layer {
            input_norm: vector(&[Part::InputNorm]),
            qkv: matrix(&[Part::Query, Part::Key, Part::Value], shape.hidden)?,
            qkv_bias: vector(&[Part::QueryBias, Part::KeyBias, Part::ValueBias]),
            head_norms: shape.qk_norm.then(|| [vector(&[Part::QueryNorm]), vector(&[Part::KeyNorm])]),
            output: matrix(&[Part::Output], shape.query_width())?,
            output_bias: vector(&[Part::OutputBias]),
            ffn_norm: vector(&[Part::FfnNorm]),
            ffn_in: matrix(&[Part::Gate, Part::Up], shape.hidden)?,
            ffn_in_bias: vector(&[Part::GateBias, Part::UpBias]),
            down: matrix(&[Part::Down], shape.ffn)?,
            down_bias: vector(&[Part::DownBias]),
            window: shape.windows[layer],
        };
        // So that no more than one layer is in memory twice.
        self.source.release();
        Ok(layer)
    }

    /// One matrix of the rows of several.
    fn matrix(&self, places: &[Place], inputs: usize) -> Result<Matrix, LoadError> {
        let size = |place: &Place| self.source.shape().size(*place).map_or(0, |(rows, _)| rows);
        let parts: Vec<(Place, usize)> = places.iter().map(|place| (*place, size(place))).collect();
        let outputs = parts.iter().map(|(_, rows)| rows).sum();
        let stacked = Stacked { source: self.source, parts: &parts };
        Matrix::pack(self.workers, self.dtype, [outputs, inputs], &stacked).map_err(LoadError::Memory)
    }

    /// Vectors of several places, one after the other; empty if the model has none of them.
    fn vector(&self, places: &[Place]) -> Vec<f32> {
        let mut all = Vec::new();
        for place in places {
            if let Some((_, len)) = self.source.shape().size(*place) {
                let start = all.len();
                all.resize(start + len, 0.0);
                self.source.row_into(*place, 0, &mut all[start..]);
            }
        }
        all
    }
}

/// The rows of several tensors, one after the other.
struct Stacked<'a> {
    source: &'a dyn Source,
    parts: &'a [(Place, usize)],
}

impl Stacked<'_> {
    fn find(&self, mut row: usize) -> (Place, usize) {
        for (place, rows) in self.parts {
            if row < *rows {
                return (*place, row);
            }
            row -= rows;
        }
        unreachable!("a matrix asks for the rows that it was promised")
    }
}

impl Rows for Stacked<'_> {
    fn row_into(&self, row: usize, out: &mut [f32]) {
        let (place, row) = self.find(row);
        self.source.row_into(place, row, out);
    }

    fn blocks_into(&self, row: usize, out: &mut [Q8Block], values: &mut [f32]) {
        let (place, row) = self.find(row);
        if !self.source.blocks_into(place, row, out) {
            self.source.row_into(place, row, values);
            Q8Block::round(out, values);
        }
    }
}
