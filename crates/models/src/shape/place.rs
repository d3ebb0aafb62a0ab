//! Tensors of a model by their role.

/// Where a tensor belongs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Place {
    Embedding,
    FinalNorm,
    Head,
    /// Part of the layer with this index.
    Layer(usize, Part),
}

/// A tensor of a layer. Matrices have a row for each output; norms and biases are one row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Part {
    InputNorm,
    Query,
    QueryBias,
    QueryNorm,
    Key,
    KeyBias,
    KeyNorm,
    Value,
    ValueBias,
    Output,
    OutputBias,
    FfnNorm,
    Gate,
    GateBias,
    Up,
    UpBias,
    Down,
    DownBias,
}

impl Part {
    pub const ALL: [Part; 18] = [
        Part::InputNorm,
        Part::Query,
        Part::QueryBias,
        Part::QueryNorm,
        Part::Key,
        Part::KeyBias,
        Part::KeyNorm,
        Part::Value,
        Part::ValueBias,
        Part::Output,
        Part::OutputBias,
        Part::FfnNorm,
        Part::Gate,
        Part::GateBias,
        Part::Up,
        Part::UpBias,
        Part::Down,
        Part::DownBias,
    ];
}
