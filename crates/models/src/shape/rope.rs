//! Rotary positions and their extensions to longer texts.

/// Parameters of rotary positions.
#[derive(Clone, PartialEq, Debug)]
pub struct Rope {
    /// Base of the wavelengths.
    pub theta: f64,
    /// Elements of a head that are rotated: element `i` together with `i + dim / 2`.
    pub dim: usize,
    pub kind: RopeKind,
}

/// How frequencies change for texts longer than those of the pretraining.
#[derive(Clone, PartialEq, Debug)]
pub enum RopeKind {
    Default,
    /// Divides all frequencies by `factor`.
    Linear {
        factor: f64,
    },
    /// Raises the base when a text has more than `context` positions ("dynamic NTK").
    Dynamic {
        factor: f64,
        context: usize,
    },
    /// Keeps high frequencies and divides low ones, with a ramp between them.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: usize,
    },
    /// <https://arxiv.org/abs/2309.00071>
    Yarn {
        factor: f64,
        attention: f64,
        fast: f64,
        slow: f64,
        original: usize,
        ends: Ends,
    },
    /// Divides each frequency by a factor of its own, from `long` when a text has more than `original` positions.
    /// <https://arxiv.org/abs/2402.13753>
    Long {
        short: Vec<f32>,
        long: Vec<f32>,
        attention: f64,
        original: usize,
    },
    /// Divides each frequency by a factor of its own: how GGUF files store `llama3`.
    Factors(Vec<f32>),
}

/// The ends of YaRN's ramp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ends {
    /// Rounded outwards to whole dimensions.
    Whole,
    Exact,
}

impl Rope {
    /// Factor of sine and cosine.
    pub fn attention_factor(&self) -> f32 {
        match &self.kind {
            RopeKind::Yarn { attention, .. } | RopeKind::Long { attention, .. } => *attention as f32,
            _ => 1.0,
        }
    }

    /// Number of positions from which on the frequencies differ from those of shorter texts, if there is such a
    /// number. Keys that were rotated before are not valid after it.
    pub fn changes_after(&self) -> Option<usize> {
        match self.kind {
            RopeKind::Dynamic { context, .. } => Some(context),
            RopeKind::Long { original, .. } => Some(original),
            _ => None,
        }
    }
}
