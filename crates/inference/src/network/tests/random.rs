//! Models with random weights, for tests.

use stepwell_base::rng::{Rng, derive_seed};

use stepwell_models::{Part, Place, Rope, RopeKind, Shape};

use crate::network::Source;

/// A model whose weights are a function of their place.
pub struct RandomModel {
    pub shape: Shape,
}

impl RandomModel {
    /// Four query heads over two of keys, with a window on one of three layers; no size is a multiple of a panel.
    pub fn tiny() -> Self {
        RandomModel {
            shape: Shape {
                vocab: 150,
                hidden: 72,
                layers: 3,
                heads: 4,
                kv_heads: 2,
                head_dim: 20,
                ffn: 100,
                context: 300,
                norm_eps: 1e-5,
                rope: Rope { theta: 10_000.0, dim: 20, kind: RopeKind::Default },
                qkv_bias: true,
                output_bias: false,
                mlp_bias: true,
                qk_norm: true,
                tied: true,
                windows: vec![None, Some(40), None],
            },
        }
    }
}

impl Source for RandomModel {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn row_into(&self, place: Place, row: usize, out: &mut [f32]) {
        let mut rng = Rng::new(derive_seed(7, &format!("{place:?}"), row as u64));
        let is_norm = matches!(
            place,
            Place::FinalNorm | Place::Layer(_, Part::InputNorm | Part::FfnNorm | Part::QueryNorm | Part::KeyNorm)
        );
        let (mean, spread) = if is_norm { (1.0, 0.1) } else { (0.0, 0.25) };
        out.iter_mut().for_each(|value| *value = (mean + spread * rng.normal()) as f32);
    }
}
