//! State that the optimizer keeps per parameter, its names in files, and what is wrong with a file.

use std::collections::BTreeMap;

use super::adafactor::Factored;
use super::adamw::Moments;
use super::buffers::Buffers;
use super::muon::Momentum;
use crate::model::shared::Shared;
use crate::model::weights::NamedTensor;

const FIRST: &str = ".exp_avg";
const SECOND: &str = ".exp_avg_sq";
const ROW: &str = ".exp_avg_sq_row";
const COLUMN: &str = ".exp_avg_sq_col";
const MOMENTUM: &str = ".momentum_buffer";

/// Optimizer state that does not fit the model.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum OptimizerError {
    #[error("the optimizer state has no `{0}`")]
    Missing(String),
    #[error("the optimizer state holds `{0}`, which is not part of the model")]
    Unexpected(String),
    #[error("`{name}` in the optimizer state has shape {found:?}, the parameter has {expected:?}")]
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
}

pub struct ParameterState {
    pub shape: Vec<usize>,
    pub state: State,
}

pub enum State {
    AdamW(Moments),
    Muon(Momentum),
    Adafactor(Factored),
}

/// Kind of the state of a parameter.
#[derive(Clone, Copy)]
pub enum Kind<'a> {
    AdamW,
    Muon,
    /// With the row counts of the parameter's matrices; empty for a vector.
    Adafactor(&'a [usize]),
}

impl ParameterState {
    /// The state of the parameter `path`, as PyTorch names it, shared with this value if it is on the host.
    pub fn shared(&self, path: &str) -> Vec<NamedTensor<Shared>> {
        let named =
            |suffix: &str, shape: Vec<usize>, data| NamedTensor { name: format!("{path}{suffix}"), shape, data };
        let shape = || self.shape.clone();
        match &self.state {
            State::AdamW(moments) => {
                let [first, second] = moments.shared();
                vec![named(FIRST, shape(), first), named(SECOND, shape(), second)]
            }
            State::Muon(momentum) => {
                let [momentum] = momentum.shared();
                vec![named(MOMENTUM, shape(), momentum)]
            }
            State::Adafactor(Factored::Vector(moments)) => {
                let [moments] = moments.shared();
                vec![named(SECOND, shape(), moments)]
            }
            State::Adafactor(Factored::Matrix { row, column }) => {
                let ([row], [column]) = (row.shared(), column.shared());
                let columns = self.shape[1];
                let matrices = self.matrices();
                vec![named(COLUMN, vec![matrices, columns], column), named(ROW, vec![self.shape[0]], row)]
            }
        }
    }

    /// Number of matrices in the stack.
    fn matrices(&self) -> usize {
        match &self.state {
            State::Adafactor(Factored::Matrix { column, .. }) => column.length() / self.shape[1].max(1),
            _ => 1,
        }
    }
}

/// Tensors of a file that no parameter has taken yet.
pub struct Source(pub BTreeMap<String, NamedTensor>);

impl Source {
    /// Takes the state of the parameter `path`.
    ///
    /// # Errors
    /// `Missing` when a tensor is absent, `Shape` when one has another shape.
    pub fn state(&mut self, path: &str, shape: &[usize], kind: Kind<'_>) -> Result<State, OptimizerError> {
        match (kind, shape) {
            (Kind::AdamW, _) => {
                let (first, second) = (self.take(path, FIRST, shape)?, self.take(path, SECOND, shape)?);
                Ok(State::AdamW(Buffers::host([first, second])))
            }
            (Kind::Muon, _) => Ok(State::Muon(Buffers::host([self.take(path, MOMENTUM, shape)?]))),
            (Kind::Adafactor(parts), [rows, columns]) => {
                let column = Buffers::host([self.take(path, COLUMN, &[parts.len(), *columns])?]);
                let row = Buffers::host([self.take(path, ROW, &[*rows])?]);
                Ok(State::Adafactor(Factored::Matrix { row, column }))
            }
            (Kind::Adafactor(_), _) => {
                Ok(State::Adafactor(Factored::Vector(Buffers::host([self.take(path, SECOND, shape)?]))))
            }
        }
    }

    fn take(&mut self, path: &str, suffix: &str, shape: &[usize]) -> Result<Vec<f32>, OptimizerError> {
        let name = format!("{path}{suffix}");
        let Some(tensor) = self.0.remove(&name) else { return Err(OptimizerError::Missing(name)) };
        if tensor.shape != shape {
            return Err(OptimizerError::Shape { name, found: tensor.shape, expected: shape.to_vec() });
        }
        Ok(tensor.data)
    }
}
