//! Settings of automatic differentiation for a parameter.

use burn::tensor::GradientCheckpointingStrategy;
use burn::tensor::Tensor;

/// Settings with which a parameter takes part in automatic differentiation. An update returns a new tensor that lacks
/// them.
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

    /// Makes a parameter with these settings out of a tensor that is not differentiated.
    pub fn restore<const D: usize>(self, tensor: Tensor<D>) -> Tensor<D> {
        let mut tensor = Tensor::from_inner(tensor);
        if let Some(strategy) = self.checkpointing {
            tensor = tensor.with_gradient_checkpointing_strategy(strategy);
        }
        tensor.set_require_grad(self.requires_grad)
    }
}
