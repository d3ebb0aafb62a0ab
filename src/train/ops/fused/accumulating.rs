//! How an operation whose gradient is sparse joins burn's graph.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::{Backend, tensor::FloatTensor};

use crate::train::ops::differentiable::Tracked;

/// An operation on one tensor whose gradient is sparse: the backward pass adds to what the tensor's
/// other uses left there, instead of making a second gradient of its size.
pub trait Accumulating: Send + Debug + 'static {
    /// Where it runs.
    type Backend: Backend;
    /// What the backward pass needs.
    type Saved: Clone + Send + Debug + 'static;

    /// The output alone.
    fn forward(&self) -> FloatTensor<Self::Backend>;

    /// What the backward pass needs.
    fn saved(self) -> Self::Saved;

    /// The gradient of the input: `gradient`, if there is one already, and this operation's part.
    fn accumulate(
        saved: Self::Saved,
        upstream: FloatTensor<Self::Backend>,
        gradient: Option<FloatTensor<Self::Backend>>,
    ) -> FloatTensor<Self::Backend>;
}

/// As `record`, for an operation that adds to its input's gradient in place.
pub fn record_accumulating<C, O>(input: &Tracked<O::Backend>, operation: O) -> Tracked<O::Backend>
where
    C: CheckpointStrategy,
    O: Accumulating,
{
    let step = AccumulatingStep::<O>(PhantomData);
    let output = operation.forward();
    match step.prepare::<C>([input.node()]).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish((input.clone(), operation.saved()), output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    }
}

#[derive(Debug)]
struct AccumulatingStep<O>(PhantomData<O>);

impl<O: Accumulating> Backward<O::Backend, 1> for AccumulatingStep<O> {
    type State = (Tracked<O::Backend>, O::Saved);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let upstream = gradients.consume::<O::Backend>(&ops.node);
        let (input, saved) = ops.state;
        let gradient = gradients.remove::<O::Backend>(&input);
        gradients.register::<O::Backend>(input.id(), O::accumulate(saved, upstream, gradient));
    }
}
