//! Matrix products by kernels of burn's library. The fastest kernel depends on the device and the shapes, so the first
//! product of each kind measures them; [`tuning`] documents how choices are stored.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::future::block_on;
use cubecl::prelude::{Scalar, tf32};
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems, MatmulSetupError};
use cubek::matmul::launch::launch_ref;
use cubek::matmul::multi_level::Strategy;
use cubek::matmul::multi_level::routines::TileSizeSelection::{MaxTileSize, MinTileSize};
use cubek::matmul::multi_level::routines::batch::double_unit::DoubleUnitSelectionArgs;
use cubek::matmul::multi_level::routines::batch::ordered_double_buffering::OrderedSelectionArgs;
use cubek::matmul::multi_level::routines::batch::simple::SimpleArgs;
use cubek::matmul::multi_level::routines::batch::simple_unit::SimpleUnitSelectionArgs;
use cubek::matmul::routine::BlueprintStrategy::Inferred;
use cubek::std::InputBinding;

use super::buffers::uninitialized;
use crate::device::tuning::{self, Chooser, Order, Product};

/// A kernel and the name under which its choice is stored.
struct Kernel {
    name: &'static str,
    accelerated: bool,
    strategy: fn() -> Strategy,
}

/// Slow fallback that computes any product.
static ALWAYS: Kernel = Kernel { name: "naive", accelerated: false, strategy: || Strategy::Naive };

static KERNELS: [Kernel; 14] = [
    unit("unit-large", || Strategy::SimpleUnit(Inferred(SimpleUnitSelectionArgs { tile_size: MaxTileSize }))),
    unit("unit-small", || Strategy::SimpleUnit(Inferred(SimpleUnitSelectionArgs { tile_size: MinTileSize }))),
    unit("double-unit", || Strategy::DoubleUnit(Inferred(DoubleUnitSelectionArgs { tile_size: MaxTileSize }))),
    accelerated("cmma", || Strategy::SimpleCyclicCmma(Default::default())),
    accelerated("cmma-rows", || Strategy::SimpleCyclicCmma(Inferred(rows()))),
    accelerated("mma-rows", || Strategy::SimpleCyclicMma(Inferred(rows()))),
    accelerated("double-cmma", || Strategy::DoubleCyclicCmma(Default::default())),
    accelerated("double-mma", || Strategy::DoubleCyclicMma(Default::default())),
    accelerated("ordered-cmma", || Strategy::OrderedDoubleCmma(Inferred(ordered()))),
    accelerated("ordered-mma", || Strategy::OrderedDoubleMma(Inferred(ordered()))),
    accelerated("tma-cmma", || Strategy::SimpleTmaCmma(Inferred(rows()))),
    accelerated("tma-mma", || Strategy::SimpleTmaMma(Inferred(rows()))),
    accelerated("specialized-tma-cmma", || Strategy::SpecializedTmaCmma(Default::default())),
    accelerated("specialized-tma-mma", || Strategy::SpecializedTmaMma(Default::default())),
];

const fn unit(name: &'static str, strategy: fn() -> Strategy) -> Kernel {
    Kernel { name, accelerated: false, strategy }
}

const fn accelerated(name: &'static str, strategy: fn() -> Strategy) -> Kernel {
    Kernel { name, accelerated: true, strategy }
}

/// Several rows of tiles per plane. The strategy sets the kind of matrix unit.
fn rows() -> SimpleArgs {
    SimpleArgs { multi_rows: true, ..Default::default() }
}

fn ordered() -> OrderedSelectionArgs {
    OrderedSelectionArgs { partition_k: Some(2), row_count: Some(8), rows_per_plane: Some(2), ..Default::default() }
}

fn all() -> impl Iterator<Item = &'static Kernel> {
    KERNELS.iter().chain([&ALWAYS])
}

#[cfg(test)]
#[cfg(feature = "flex")]
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|kernel| kernel.name)
}

/// Products of `left` `[rows, inner]` and `right` `[inner, columns]`, or of stacks of them; sums are f32 and elements
/// are `output`. f32 operands are not rounded.
pub fn product(left: CubeTensor, right: CubeTensor, output: DType) -> CubeTensor {
    let ((left, left_order), (right, right_order)) = (in_order(left), in_order(right));
    let shape = shape(left.meta.shape(), right.meta.shape());
    let out = uninitialized(&left, shape.clone(), output);
    let [.., rows, columns] = shape[..] else { unreachable!("matrices have rows and columns") };
    let product = Product {
        batch: shape.num_elements() / (rows * columns),
        rows,
        inner: left.meta.shape()[shape.rank() - 1],
        columns,
        left: left_order,
        right: right_order,
        elements: Cow::Borrowed(left.dtype.name()),
        output: Cow::Borrowed(output.name()),
    };
    let operands = Operands { left, right };
    let kernel = tuning::kernel(&product, &Trial { operands: &operands, out: &out }).unwrap_or(&ALWAYS);
    operands.launch(kernel, &out).expect("two matrices whose inner lengths agree");
    out
}

pub fn shape(left: &Shape, right: &Shape) -> Shape {
    let (mut shape, last) = (left.clone(), left.rank() - 1);
    shape[last] = right[last];
    shape
}

/// Returns a tensor whose matrices have contiguous rows or columns (copied if neither holds), and that order.
fn in_order(tensor: CubeTensor) -> (CubeTensor, Order) {
    let strides = tensor.meta.strides();
    match strides[strides.len() - 2..] {
        [_, 1] => (tensor, Order::Rows),
        [1, _] => (tensor, Order::Columns),
        _ => (into_contiguous(tensor), Order::Rows),
    }
}

struct Operands {
    left: CubeTensor,
    right: CubeTensor,
}

impl Operands {
    /// Writes the whole output.
    fn launch(&self, kernel: &Kernel, out: &CubeTensor) -> Result<(), MatmulSetupError> {
        let [lhs, rhs] = [&self.left, &self.right]
            .map(|tensor| InputBinding::new(tensor.clone().binding(), dtype_to_storage_type(tensor.dtype)));
        let mut elements = MatmulElems::from_globals(&MatmulGlobalElems {
            lhs: dtype_to_storage_type(self.left.dtype),
            rhs: dtype_to_storage_type(self.right.dtype),
            out: dtype_to_storage_type(out.dtype),
        });
        let strategy = (kernel.strategy)().into();
        launch_ref(&strategy, &out.client, lhs, rhs, out.clone().binding(), &mut elements)
    }
}

/// Launches for measurement; their output is discarded.
struct Trial<'a> {
    operands: &'a Operands,
    /// Tensor with the shape and elements of the output.
    out: &'a CubeTensor,
}

impl Chooser for Trial<'_> {
    type Kernel = &'static Kernel;

    fn find(&self, name: &str) -> Option<&'static Kernel> {
        // On devices with tf32, matrix units would round f32 to it.
        let tf32 = self.out.client.properties().supports_type(tf32::elem_type_native());
        let rounds = tf32 && self.operands.left.dtype == DType::F32;
        all().find(|kernel| kernel.name == name && !(kernel.accelerated && rounds))
    }

    fn works(&self, kernel: &'static Kernel) -> bool {
        self.time(kernel, 1).is_some()
    }

    fn measure(&self) -> Option<(&'static Kernel, &'static str)> {
        const WINDOWS: usize = 3;
        let timed = KERNELS.iter().filter_map(|kernel| {
            self.find(kernel.name)?;
            Some((self.time(kernel, WINDOWS)?, kernel))
        });
        timed.min_by_key(|(time, _)| *time).map(|(_, kernel)| (kernel, kernel.name))
    }
}

impl Trial<'_> {
    /// Least time per launch over `windows` windows, after a launch that compiles the kernel. `None` if the kernel
    /// cannot compute the product; some kernels report that by a panic.
    fn time(&self, kernel: &'static Kernel, windows: usize) -> Option<Duration> {
        catch_unwind(AssertUnwindSafe(|| self.times(kernel, windows))).ok().flatten()
    }

    fn times(&self, kernel: &'static Kernel, windows: usize) -> Option<Duration> {
        /// Duration of a window, long enough to hide the host's launch overhead.
        const WINDOW: Duration = Duration::from_millis(2);
        const MAX_LAUNCHES: u32 = 32;
        // A separate output, because a failing launch may leave it partly unwritten.
        let out = uninitialized(self.out, self.out.meta.shape().clone(), self.out.dtype);
        let window = |launches: u32| {
            let launch = || (0..launches).all(|_| self.operands.launch(kernel, &out).is_ok());
            let (launched, time) = out.client.profile(launch, kernel.name).ok()?;
            let time = launched.then_some(time)?;
            Some(block_on(time.resolve())?.duration() / launches)
        };
        window(1)?;
        let once = window(1)?;
        let launches = (WINDOW.as_secs_f64() / once.as_secs_f64().max(1e-6)).clamp(1.0, MAX_LAUNCHES.into()) as u32;
        let times: Option<Vec<Duration>> = (0..windows).map(|_| window(launches)).collect();
        block_on(out.client.sync_buffers([&out.handle])).ok()?;
        times?.into_iter().min()
    }
}
