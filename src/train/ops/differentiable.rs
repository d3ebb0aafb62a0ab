//! How an operation with a hand-written backward pass joins burn's graph.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::{Autodiff, Backend, tensor::FloatTensor};

/// A tensor in burn's graph; the same type for every checkpointing strategy.
pub type Tracked<B> = FloatTensor<Autodiff<B>>;

/// An operation on `N` float tensors. What it is made of is kept for the backward pass.
pub trait Differentiable<const N: usize>: Clone + Send + Debug + 'static {
    /// Where it runs.
    type Backend: Backend;
    /// What the backward pass needs; the operation itself unless the forward pass computes more.
    type Saved: Clone + Send + Debug + 'static;

    /// The output alone.
    fn forward(&self) -> FloatTensor<Self::Backend>;

    /// The output, and what the backward pass needs for gradients of the `needed` inputs.
    fn forward_saving(self, needed: [bool; N]) -> (FloatTensor<Self::Backend>, Self::Saved);

    /// Gradients of the inputs, given that of the output; an input that is not `needed` may be skipped.
    fn backward(
        saved: Self::Saved,
        upstream: FloatTensor<Self::Backend>,
        needed: [bool; N],
    ) -> [Option<FloatTensor<Self::Backend>>; N];
}

/// Runs an operation and registers its backward pass when an input requires a gradient.
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

/// An operation whose backward pass adds to what other uses of its first input left there, in a pass of its own over
/// that gradient. Otherwise burn adds both, on one thread and into a third tensor.
pub trait Accumulating<const N: usize>: Send + Debug + 'static {
    /// Where it runs.
    type Backend: Backend;
    /// What the backward pass needs.
    type Saved: Clone + Send + Debug + 'static;

    /// The output alone.
    fn forward(&self) -> FloatTensor<Self::Backend>;

    /// What the backward pass needs.
    fn saved(self) -> Self::Saved;

    /// Gradients of the inputs, as [`Differentiable::backward`] gives them; that of the first one with `gradient`, if
    /// there is one already.
    fn accumulate(
        saved: Self::Saved,
        upstream: FloatTensor<Self::Backend>,
        needed: [bool; N],
        gradient: Option<FloatTensor<Self::Backend>>,
    ) -> [Option<FloatTensor<Self::Backend>>; N];
}

/// As [`record`], for an operation that adds to its first input's gradient.
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

fn register<B: Backend, const N: usize>(
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
