//! What automatic differentiation knows of a parameter.

use burn::tensor::GradientCheckpointingStrategy;
use burn::tensor::Tensor;

/// How a parameter takes part in automatic differentiation; an update gives a new tensor, which has to be told.
#[derive(Clone, Copy)]
pub struct Tracking {
    requires_grad: bool,
    checkpointing: Option<GradientCheckpointingStrategy>,
}

impl Tracking {
    pub fn of<const D: usize>(tensor: &Tensor<D>) -> Self {
        let checkpointing = tensor.gradient_checkpointing_strategy();
        Tracking { requires_grad: tensor.is_require_grad(), checkpointing }
    }

    /// The tensor, which takes no part, as a parameter.
    pub fn restore<const D: usize>(self, tensor: Tensor<D>) -> Tensor<D> {
        let mut tensor = Tensor::from_inner(tensor);
        if let Some(strategy) = self.checkpointing {
            tensor = tensor.with_gradient_checkpointing_strategy(strategy);
        }
        tensor.set_require_grad(self.requires_grad)
    }
}
