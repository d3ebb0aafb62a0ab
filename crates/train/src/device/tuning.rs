//! Choice of the kernel with which a GPU computes each matrix product. Kernels add in different orders, so this
//! measured choice affects the bits of a training. Every checkpoint stores it, and the state directory keeps it for
//! later runs.

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// Library that names the kernels; see [`on_device`].
const LIBRARY: &str = "cubek 0.3.1";

/// Order of a matrix's elements in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    Rows,
    Columns,
}

/// Properties of a product that the choice depends on, besides the device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// Products per launch.
    pub batch: usize,
    pub rows: usize,
    pub inner: usize,
    pub columns: usize,
    pub left: Order,
    pub right: Order,
    /// Element type of both operands, in burn's names.
    pub elements: Cow<'static, str>,
    pub output: Cow<'static, str>,
}

/// Evidence that this process has for a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Proof {
    /// The choice was read and not tested.
    #[default]
    None,
    /// The kernel works.
    #[cfg(any(feature = "cube", test))]
    Works,
    /// The kernel was the fastest.
    Measured,
}

/// A product and the name of the kernel that computes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    product: Product,
    kernel: String,
    #[serde(skip)]
    proof: Proof,
}

/// Choices that were made on one device; none on the CPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Tuning {
    /// Description of the device, and the library of kernels.
    pub device: String,
    /// Sorted by product.
    choices: Vec<Choice>,
}

/// Form in a file, which may have been edited.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    device: String,
    choices: Vec<Choice>,
}

impl From<Written> for Tuning {
    fn from(Written { device, choices }: Written) -> Self {
        let mut tuning = Tuning { device, choices: Vec::new() };
        choices.into_iter().for_each(|choice| tuning.insert(choice));
        tuning
    }
}

/// Ignores the proof.
impl PartialEq for Choice {
    fn eq(&self, other: &Choice) -> bool {
        (&self.product, &self.kernel) == (&other.product, &other.kernel)
    }
}

impl Tuning {
    const NONE: Tuning = Tuning { device: String::new(), choices: Vec::new() };

    /// True when there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.choices.is_empty()
    }

    /// Adds the choices of the same device. Known choices stay, unless `other` has measured them.
    pub fn extend(&mut self, other: Tuning) {
        if self.device == other.device {
            other.choices.into_iter().for_each(|choice| self.insert(choice));
        }
    }

    fn place(&self, product: &Product) -> Result<usize, usize> {
        self.choices.binary_search_by(|choice| choice.product.cmp(product))
    }

    fn insert(&mut self, choice: Choice) {
        match self.place(&choice.product) {
            Err(at) => self.choices.insert(at, choice),
            Ok(at) if choice.proof == Proof::Measured => self.choices[at] = choice,
            Ok(_) => {}
        }
    }
}

/// Choices of this process, which computes on one device.
static CHOSEN: Mutex<Tuning> = Mutex::new(Tuning::NONE);

fn locked(tuning: &Mutex<Tuning>) -> MutexGuard<'_, Tuning> {
    tuning.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets the device of this process. Forgets choices made on another device or with other kernels.
pub fn on_device(found: &str) {
    let device = format!("{found}; {LIBRARY}");
    let mut chosen = locked(&CHOSEN);
    if chosen.device != device {
        *chosen = Tuning { device, ..Tuning::NONE };
    }
}

/// Choices that this process has made or adopted.
pub fn current() -> Tuning {
    locked(&CHOSEN).clone()
}

/// Adopts earlier choices for this device. Choices that this process already has stay.
pub fn adopt(tuning: Tuning) {
    locked(&CHOSEN).extend(tuning);
}

/// Finds and measures the kernels for one product.
#[cfg(feature = "cube")]
pub trait Chooser {
    type Kernel: Copy;

    /// Finds a kernel by name, if it may compute the product.
    fn find(&self, name: &str) -> Option<Self::Kernel>;
    /// Tries a kernel.
    fn works(&self, kernel: Self::Kernel) -> bool;
    /// Fastest kernel and its name, or `None` when nothing could be measured.
    fn measure(&self) -> Option<(Self::Kernel, &'static str)>;
}

/// Kernel for a product: the earlier choice if it works, or else the fastest one by measurement. `None` only if nothing
/// could be measured.
#[cfg(feature = "cube")]
pub fn kernel<C: Chooser>(product: &Product, chooser: &C) -> Option<C::Kernel> {
    kernel_in(&CHOSEN, product, chooser)
}

/// Holds no lock while kernels run, as they may wait for what another thread does. Several threads may therefore
/// measure one product; all of them use the first one's choice.
#[cfg(feature = "cube")]
fn kernel_in<C: Chooser>(tuning: &Mutex<Tuning>, product: &Product, chooser: &C) -> Option<C::Kernel> {
    let known = |tuning: &Tuning| {
        let choice = &tuning.choices[tuning.place(product).ok()?];
        Some((chooser.find(&choice.kernel)?, choice.proof))
    };
    let before = known(&locked(tuning));
    if let Some((kernel, proof)) = before
        && (proof != Proof::None || chooser.works(kernel))
    {
        let mut tuning = locked(tuning);
        if let Ok(at) = tuning.place(product) {
            tuning.choices[at].proof = proof.max(Proof::Works);
        }
        return Some(kernel);
    }
    let (measured, name) = chooser.measure()?;
    let mut tuning = locked(tuning);
    match known(&tuning) {
        Some((first, Proof::Works | Proof::Measured)) => Some(first),
        _ => {
            tuning.insert(Choice { product: product.clone(), kernel: name.to_owned(), proof: Proof::Measured });
            Some(measured)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(rows: usize) -> Product {
        let (left, right) = (Order::Rows, Order::Columns);
        let elements = Cow::Borrowed("f32");
        Product { batch: 1, rows, inner: 8, columns: 4, left, right, elements: elements.clone(), output: elements }
    }

    fn tuning(device: &str, choices: &[(usize, &str)], proof: Proof) -> Tuning {
        let mut tuning = Tuning { device: device.to_owned(), ..Tuning::NONE };
        for (rows, kernel) in choices {
            tuning.insert(Choice { product: product(*rows), kernel: (*kernel).to_owned(), proof });
        }
        tuning
    }

    #[test]
    fn what_is_known_stays_unless_it_was_measured_again_and_another_device_adds_nothing() {
        let mut ours = tuning("a", &[(16, "fast"), (2, "small")], Proof::None);
        ours.extend(tuning("a", &[(16, "other"), (3, "new")], Proof::Works));
        ours.extend(tuning("b", &[(5, "far")], Proof::Measured));
        assert_eq!(ours, tuning("a", &[(2, "small"), (3, "new"), (16, "fast")], Proof::None));
        ours.extend(tuning("a", &[(16, "faster")], Proof::Measured));
        assert_eq!(ours, tuning("a", &[(2, "small"), (3, "new"), (16, "faster")], Proof::None));
    }

    #[test]
    fn a_tuning_reads_back_as_it_was_written_in_any_order() {
        let ours = tuning("a", &[(16, "fast"), (2, "small")], Proof::Measured);
        let text = serde_json::to_string(&ours).unwrap();
        assert_eq!(serde_json::from_str::<Tuning>(&text).unwrap(), ours);
        let first = r#""rows":2,"inner":8,"columns":4,"left":"rows","right":"columns","elements":"f32""#;
        assert!(text.contains(first) && !text.contains("proof"), "{text}");
        let mut edited: serde_json::Value = serde_json::from_str(&text).unwrap();
        edited["choices"].as_array_mut().unwrap().reverse();
        assert_eq!(serde_json::from_value::<Tuning>(edited).unwrap(), ours);
    }

    /// Kernels are numbers. Even ones work, and a measurement finds `fastest`.
    #[cfg(feature = "cube")]
    struct Numbers<'a> {
        fastest: Option<(u32, &'static str)>,
        /// Runs during a measurement.
        meanwhile: &'a dyn Fn(),
    }

    #[cfg(feature = "cube")]
    impl Chooser for Numbers<'_> {
        type Kernel = u32;

        fn find(&self, name: &str) -> Option<u32> {
            name.parse().ok()
        }

        fn works(&self, kernel: u32) -> bool {
            kernel.is_multiple_of(2)
        }

        fn measure(&self) -> Option<(u32, &'static str)> {
            (self.meanwhile)();
            self.fastest
        }
    }

    #[cfg(feature = "cube")]
    #[test]
    fn a_product_is_measured_once_and_the_first_choice_that_works_counts() {
        let known = Mutex::new(tuning("a", &[(1, "2"), (2, "3"), (3, "renamed")], Proof::None));
        let kernel = |rows, fastest: Option<(u32, &'static str)>, meanwhile: &dyn Fn()| {
            kernel_in(&known, &product(rows), &Numbers { fastest, meanwhile })
        };
        let unneeded = || panic!("it is known");
        assert_eq!(kernel(1, None, &unneeded), Some(2));
        assert_eq!(kernel(2, Some((4, "4")), &|| ()), Some(4), "3 does not work");
        assert_eq!(kernel(2, None, &unneeded), Some(4));
        assert_eq!(kernel(3, Some((6, "6")), &|| ()), Some(6), "nobody knows the name");
        assert_eq!(kernel(4, None, &|| ()), None, "nothing could be measured");
        assert_eq!(kernel(4, Some((8, "8")), &|| ()), Some(8));
        let another = || assert_eq!(kernel(5, Some((10, "10")), &|| ()), Some(10));
        assert_eq!(kernel(5, Some((12, "12")), &another), Some(10), "another thread was first");
        let expected = [(1, "2"), (2, "4"), (3, "6"), (4, "8"), (5, "10")];
        assert_eq!(*locked(&known), tuning("a", &expected, Proof::None));
    }
}
