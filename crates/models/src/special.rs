//! Special tokens of a model, and how its authors sample.

/// Ids of the special tokens.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SpecialTokens {
    pub bos: Option<u32>,
    /// Tokens that end a text. The padding token is one of them only if the model says so.
    pub eos: Vec<u32>,
    pub pad: Option<u32>,
}

/// Sampling that the authors of a model propose in `generation_config.json`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct GenerationDefaults {
    /// False asks for the likeliest token.
    pub sample: Option<bool>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<usize>,
    pub min_p: Option<f64>,
    pub repetition_penalty: Option<f64>,
    /// Tokens that never follow, such as rows of the embedding without a token.
    pub suppressed: Vec<u32>,
}
