//! The matrix product, by kernels of burn's library. Which one is fastest depends on the device and the shapes, so the
//! first product of its kind measures them; [`tuning`] says what becomes of the choice.

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
use crate::train::tuning::{self, Chooser, Order, Product};

/// A kernel, by the name that is kept.
struct Kernel {
    name: &'static str,
    /// Whether it is for matrix units.
    accelerated: bool,
    strategy: fn() -> Strategy,
}

/// The slow one that computes any product.
static ALWAYS: Kernel = Kernel { name: "naive", accelerated: false, strategy: || Strategy::Naive };

/// Those that are measured.
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

/// Several rows of tiles for each plane. The kind of matrix unit is the strategy's.
fn rows() -> SimpleArgs {
    SimpleArgs { multi_rows: true, ..Default::default() }
}

fn ordered() -> OrderedSelectionArgs {
    OrderedSelectionArgs { partition_k: Some(2), row_count: Some(8), rows_per_plane: Some(2), ..Default::default() }
}

fn all() -> impl Iterator<Item = &'static Kernel> {
    KERNELS.iter().chain([&ALWAYS])
}

#[cfg(all(test, feature = "wgpu", feature = "flex"))]
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|kernel| kernel.name)
}

/// The products of `left` `[rows, inner]` and `right` `[inner, columns]`, or of stacks of them, with sums in f32 and
/// elements of `output`. f32 operands are not rounded.
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

/// The shape of a product.
pub fn shape(left: &Shape, right: &Shape) -> Shape {
    let (mut shape, last) = (left.clone(), left.rank() - 1);
    shape[last] = right[last];
    shape
}

/// A tensor whose matrices have neighbours in rows or columns, copied if it is neither.
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

/// Launches whose output nobody reads.
struct Trial<'a> {
    operands: &'a Operands,
    /// One of the same shape and elements.
    out: &'a CubeTensor,
}

impl Chooser for Trial<'_> {
    type Kernel = &'static Kernel;

    fn find(&self, name: &str) -> Option<&'static Kernel> {
        // Matrix units would round f32 to tf32, where there is such a type.
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
    /// The least time per launch in some windows, after a launch that compiles the kernel. `None` if it cannot compute
    /// the product; some kernels say that by a panic.
    fn time(&self, kernel: &'static Kernel, windows: usize) -> Option<Duration> {
        catch_unwind(AssertUnwindSafe(|| self.times(kernel, windows))).ok().flatten()
    }

    fn times(&self, kernel: &'static Kernel, windows: usize) -> Option<Duration> {
        /// A window that hides how long the host takes for a launch.
        const WINDOW: Duration = Duration::from_millis(2);
        const MOST_LAUNCHES: u32 = 32;
        // What a launch that fails leaves unwritten must not be the output.
        let out = uninitialized(self.out, self.out.meta.shape().clone(), self.out.dtype);
        let window = |launches: u32| {
            let launch = || (0..launches).all(|_| self.operands.launch(kernel, &out).is_ok());
            let (launched, time) = out.client.profile(launch, kernel.name).ok()?;
            let time = launched.then_some(time)?;
            Some(block_on(time.resolve())?.duration() / launches)
        };
        window(1)?;
        let once = window(1)?;
        let launches = (WINDOW.as_secs_f64() / once.as_secs_f64().max(1e-6)).clamp(1.0, MOST_LAUNCHES.into()) as u32;
        let times: Option<Vec<Duration>> = (0..windows).map(|_| window(launches)).collect();
        block_on(out.client.sync_buffers([&out.handle])).ok()?;
        times?.into_iter().min()
    }
}
