use burn::tensor::{Device, Tensor, TensorData};

use super::*;
use crate::model::shared::host_slice;
use crate::optim::config::MuonConfig;

#[derive(Module, Debug)]
struct Pair {
    matrix: Param<Tensor<2>>,
    vector: Param<Tensor<1>>,
}

fn pair(device: &Device) -> Pair {
    Pair {
        matrix: Param::from_data([[0.5f32, -1.0, 2.0], [3.0, 0.25, -0.125]], device),
        vector: Param::from_data([1.0f32, -2.0], device),
    }
}

fn values(model: &Pair) -> (Vec<f32>, Vec<f32>) {
    let read = |data: TensorData| host_slice(&data).to_vec();
    (read(model.matrix.val().inner().into_data()), read(model.vector.val().inner().into_data()))
}

/// Gradients of `sum(matrix^2) + sum(vector^3)`.
fn gradients(model: &Pair) -> GradientSum {
    let loss = model.matrix.val().powi_scalar(2).sum() + model.vector.val().powi_scalar(3).sum();
    let mut sum = GradientSum::default();
    sum.add(loss.backward(), model);
    sum
}

fn adamw() -> Optimizer {
    Optimizer::new(OptimizerConfig::default(), Matrices::new())
}

fn with_muon() -> OptimizerConfig {
    OptimizerConfig { muon: Some(MuonConfig::default()), ..OptimizerConfig::default() }
}

fn matrices() -> Matrices {
    Matrices::from([("matrix".to_owned(), vec![2])])
}

fn train(optimizer: &mut Optimizer, mut model: Pair, steps: usize) -> Pair {
    for _ in 0..steps {
        let mut gradients = gradients(&model);
        let norm = gradients.norm(&model);
        model = optimizer.step(model, gradients, 0.01, Clipping { norm: &norm, limit: 1.0 });
    }
    model
}

#[test]
fn the_norm_covers_all_parameters() {
    let model = pair(&Device::flex().autodiff());
    let (matrix, vector) = values(&model);
    let squares = matrix.iter().map(|x| (2.0 * f64::from(*x)).powi(2)).sum::<f64>()
        + vector.iter().map(|x| (3.0 * f64::from(*x).powi(2)).powi(2)).sum::<f64>();
    assert!((gradients(&model).norm(&model).value() - squares.sqrt()).abs() < 1e-6);
}

/// The formula of Loshchilov and Hutter in f64, with clipping to 1 and no decay for the vector.
#[test]
fn five_steps_follow_the_formula() {
    let mut reference: Vec<f64> = vec![0.5, -1.0, 2.0, 3.0, 0.25, -0.125, 1.0, -2.0];
    let (mut first, mut second) = ([0.0f64; 8], [0.0f64; 8]);
    for t in 1..=5 {
        let gradient: Vec<f64> =
            reference.iter().enumerate().map(|(i, x)| if i < 6 { 2.0 * x } else { 3.0 * x * x }).collect();
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let scale = (1.0 / (norm + 1e-6)).min(1.0);
        for i in 0..8 {
            let g = gradient[i] * scale;
            first[i] = 0.9 * first[i] + 0.1 * g;
            second[i] = 0.95 * second[i] + 0.05 * g * g;
            let decay = if i < 6 { 0.1 } else { 0.0 };
            let (m, v) = (first[i] / (1.0 - 0.9f64.powi(t)), second[i] / (1.0 - 0.95f64.powi(t)));
            reference[i] -= 0.01 * (decay * reference[i] + m / (v.sqrt() + 1e-8));
        }
    }
    let (matrix, vector) = values(&train(&mut adamw(), pair(&Device::flex().autodiff()), 5));
    for (got, wanted) in matrix.iter().chain(&vector).zip(&reference) {
        assert!((f64::from(*got) - wanted).abs() < 1e-6, "{got} is not {wanted}");
    }
}

#[test]
fn moments_survive_their_file_bit_for_bit() {
    let device = Device::flex().autodiff();
    let whole = train(&mut adamw(), pair(&device), 6);

    let mut optimizer = adamw();
    let half = train(&mut optimizer, pair(&device), 3);
    let names: Vec<String> = optimizer.shared().into_iter().map(|tensor| tensor.name).collect();
    assert_eq!(names, ["matrix.exp_avg", "matrix.exp_avg_sq", "vector.exp_avg", "vector.exp_avg_sq"]);
    let file = crate::model::weights::save(optimizer.shared());
    let moments = crate::model::weights::load(&file).unwrap();
    let mut again =
        Optimizer::from_named(OptimizerConfig::default(), Matrices::new(), 3, &half, moments, Absent::Refused).unwrap();
    assert_eq!(values(&train(&mut again, half, 3)), values(&whole));
}

#[test]
fn moments_of_another_model_are_refused() {
    let device = Device::flex().autodiff();
    let mut optimizer = adamw();
    let model = train(&mut optimizer, pair(&device), 1);
    let named = |change: &dyn Fn(&mut Vec<NamedTensor>)| {
        let mut tensors: Vec<_> = optimizer.shared().into_iter().map(NamedTensor::into_host).collect();
        change(&mut tensors);
        tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect::<BTreeMap<_, _>>()
    };
    let load = |tensors| {
        Optimizer::from_named(OptimizerConfig::default(), Matrices::new(), 1, &model, tensors, Absent::Refused).err()
    };
    let missing = named(&|tensors| drop(tensors.remove(3)));
    assert_eq!(load(missing), Some(OptimizerError::Missing("vector.exp_avg_sq".to_owned())));
    let foreign = named(&|tensors| {
        let other = NamedTensor { name: "other".to_owned(), ..tensors[0].clone() };
        tensors.push(other);
    });
    assert_eq!(load(foreign), Some(OptimizerError::Unexpected("other".to_owned())));
    let reshaped = named(&|tensors| tensors[0].shape = vec![3, 2]);
    assert!(matches!(load(reshaped), Some(OptimizerError::Shape { .. })));
}

fn by_name(tensors: Vec<NamedTensor<Shared>>) -> BTreeMap<String, NamedTensor> {
    tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor.into_host())).collect()
}

#[test]
fn momentum_survives_its_file_bit_for_bit() {
    let device = Device::flex().autodiff();
    let whole = train(&mut Optimizer::new(with_muon(), matrices()), pair(&device), 6);

    let mut optimizer = Optimizer::new(with_muon(), matrices());
    let half = train(&mut optimizer, pair(&device), 3);
    let named = by_name(optimizer.shared());
    assert_eq!(named.keys().collect::<Vec<_>>(), ["matrix.momentum_buffer", "vector.exp_avg", "vector.exp_avg_sq"]);
    let mut again = Optimizer::from_named(with_muon(), matrices(), 3, &half, named, Absent::Refused).unwrap();
    assert_eq!(values(&train(&mut again, half, 3)), values(&whole));
}

/// Muon changes only the matrices that it may take.
#[test]
fn vectors_and_other_matrices_are_left_to_adamw() {
    let device = Device::flex().autodiff();
    let all = values(&train(&mut adamw(), pair(&device), 4));
    let none_named = values(&train(&mut Optimizer::new(with_muon(), Matrices::new()), pair(&device), 4));
    assert_eq!(none_named, all);
    let not_asked = values(&train(&mut Optimizer::new(OptimizerConfig::default(), matrices()), pair(&device), 4));
    assert_eq!(not_asked, all);
    assert_ne!(
        values(&train(&mut Optimizer::new(with_muon(), matrices()), pair(&device), 1)).0,
        values(&train(&mut adamw(), pair(&device), 1)).0
    );
}

#[test]
fn a_fork_may_change_the_optimizer_and_nothing_else_may() {
    let device = Device::flex().autodiff();
    let mut optimizer = adamw();
    let model = train(&mut optimizer, pair(&device), 2);
    let load = |absent| Optimizer::from_named(with_muon(), matrices(), 2, &model, by_name(optimizer.shared()), absent);
    assert_eq!(load(Absent::Refused).err(), Some(OptimizerError::Missing("matrix.momentum_buffer".to_owned())));
    let forked = load(Absent::Zero).unwrap();
    assert_eq!((forked.steps(), forked.without_state(&model)), (2, 1));
    let names: Vec<String> = forked.shared().into_iter().map(|tensor| tensor.name).collect();
    assert_eq!(names, ["vector.exp_avg", "vector.exp_avg_sq"]);
}
