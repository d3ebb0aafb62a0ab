//! Registers operations with hand-written backward passes in burn's autodiff graph.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::{Autodiff, Backend, tensor::FloatTensor};

/// A tensor in burn's graph; the same type for every checkpointing strategy.
pub type Tracked<B> = FloatTensor<Autodiff<B>>;

/// An operation on `N` float tensors with a hand-written backward pass.
pub trait Differentiable<const N: usize>: Clone + Send + Debug + 'static {
    type Backend: Backend;
    /// State kept for the backward pass: the operation itself unless the forward pass computes more.
    type Saved: Clone + Send + Debug + 'static;

    fn forward(&self) -> FloatTensor<Self::Backend>;

    /// Computes the output and the state that the gradients of the `needed` inputs require.
    fn forward_saving(self, needed: [bool; N]) -> (FloatTensor<Self::Backend>, Self::Saved);

    /// Computes the gradients of the inputs from the gradient of the output; may skip inputs that are not `needed`.
    fn backward(
        saved: Self::Saved,
        upstream: FloatTensor<Self::Backend>,
        needed: [bool; N],
    ) -> [Option<FloatTensor<Self::Backend>>; N];
}

/// `saves_itself!(N)`: part of an `impl Differentiable<N>` whose backward pass needs only the inputs.
macro_rules! saves_itself {
    ($inputs:expr) => {
        type Saved = Self;

        fn forward_saving(self, _needed: [bool; $inputs]) -> (burn::backend::tensor::FloatTensor<Self::Backend>, Self) {
            (self.forward(), self)
        }
    };
}
pub(super) use saves_itself;

/// Runs an operation and registers its backward pass if an input requires a gradient.
pub fn record<C, O, const N: usize>(inputs: [&Tracked<O::Backend>; N], operation: O) -> Tracked<O::Backend>
where
    C: CheckpointStrategy,
    O: Differentiable<N>,
{
    let step = Step::<O>(PhantomData);
    let needed = inputs.map(|input| input.is_tracked());
    match step.prepare::<C>(inputs.map(|input| input.node())).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let (output, saved) = operation.forward_saving(needed);
            prepared.finish(saved, output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(operation.forward()),
    }
}

#[derive(Debug)]
struct Step<O>(PhantomData<O>);

impl<O: Differentiable<N>, const N: usize> Backward<O::Backend, N> for Step<O> {
    type State = O::Saved;

    fn backward(self, ops: Ops<O::Saved, N>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let upstream = gradients.consume::<O::Backend>(&ops.node);
        let needed = ops.parents.each_ref().map(Option::is_some);
        let inputs = ops.parents.map(|parent| parent.map(|parent| parent.id));
        register::<O::Backend, N>(gradients, inputs, O::backward(ops.state, upstream, needed));
    }
}

/// Registers the gradients found for an operation's inputs.
pub fn register<B: Backend, const N: usize>(
    gradients: &mut Gradients,
    inputs: [Option<NodeId>; N],
    found: [Option<FloatTensor<B>>; N],
) {
    for (input, gradient) in inputs.into_iter().zip(found) {
        if let (Some(input), Some(gradient)) = (input, gradient) {
            gradients.register::<B>(input, gradient);
        }
    }
}
