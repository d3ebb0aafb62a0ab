//! Registers operations that accumulate into an existing gradient in burn's autodiff graph.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::{Backend, tensor::FloatTensor};

use crate::ops::differentiable::{Tracked, register};

/// An operation whose backward pass accumulates into the gradient that other uses of its first input left, in a single
/// pass over that gradient. Otherwise burn adds both gradients on one thread and into a third tensor.
pub trait Accumulating<const N: usize>: Send + Debug + 'static {
    type Backend: Backend;
    /// State kept for the backward pass.
    type Saved: Clone + Send + Debug + 'static;

    fn forward(&self) -> FloatTensor<Self::Backend>;

    fn saved(self) -> Self::Saved;

    /// Computes the gradients of the inputs, as `Differentiable::backward` does; that of the first input is accumulated
    /// onto `gradient` if given.
    fn accumulate(
        saved: Self::Saved,
        upstream: FloatTensor<Self::Backend>,
        needed: [bool; N],
        gradient: Option<FloatTensor<Self::Backend>>,
    ) -> [Option<FloatTensor<Self::Backend>>; N];
}

/// Like `record`, for an operation that accumulates into its first input's gradient.
pub fn record_accumulating<C, O, const N: usize>(inputs: [&Tracked<O::Backend>; N], operation: O) -> Tracked<O::Backend>
where
    C: CheckpointStrategy,
    O: Accumulating<N>,
{
    let step = AccumulatingStep::<O>(PhantomData);
    let output = operation.forward();
    match step.prepare::<C>(inputs.map(|input| input.node())).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish((inputs[0].clone(), operation.saved()), output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    }
}

#[derive(Debug)]
struct AccumulatingStep<O>(PhantomData<O>);

impl<O: Accumulating<N>, const N: usize> Backward<O::Backend, N> for AccumulatingStep<O> {
    type State = (Tracked<O::Backend>, O::Saved);

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let upstream = gradients.consume::<O::Backend>(&ops.node);
        let needed = ops.parents.each_ref().map(Option::is_some);
        let (first, saved) = ops.state;
        let gradient = if needed[0] { gradients.remove::<O::Backend>(&first) } else { None };
        let inputs = ops.parents.map(|parent| parent.map(|parent| parent.id));
        register::<O::Backend, N>(gradients, inputs, O::accumulate(saved, upstream, needed, gradient));
    }
}
