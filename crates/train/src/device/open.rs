//! Selects and opens the compute device. A new backend needs a Cargo feature, a line in [`BACKENDS`] and one arm in
//! `connect`.
//!
//! A device is opened only after its driver was found on disk, and nothing asks for burn's default device.

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device};

use super::backend::{BACKENDS, Backend};
use super::error::DeviceError;
#[cfg(feature = "wgpu")]
use super::graphics;
use super::tuning;
use crate::cpu::isa;
use crate::precision::Precision;

/// Status of one device, as `doctor` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceReport {
    /// Name for `--device`.
    pub name: &'static str,
    /// True when this build contains the backend.
    pub compiled: bool,
    /// The adapter or the driver's library, or the reason why the device cannot be opened.
    pub found: Result<String, DeviceError>,
    /// True for the device that `auto` selects.
    pub chosen: bool,
}

/// Resolves a device name. `auto` selects the first backend that has a driver and a GPU, or else `flex`.
///
/// # Errors
/// `Unknown` for an unknown name, `NotCompiled` for a backend outside this build, `NoDriver` for a missing driver,
/// and `Isa` for requested instructions that the CPU cannot use.
pub fn resolve(name: &str) -> Result<&'static str, DeviceError> {
    if name == "auto" {
        let usable =
            BACKENDS.iter().find(|backend| backend.compiled && (backend.driver)().is_ok() && is_worth_it(backend.name));
        return resolve(usable.map_or("flex", |backend| backend.name));
    }
    let backend = BACKENDS
        .iter()
        .find(|backend| backend.name == name)
        .ok_or_else(|| DeviceError::Unknown { name: name.to_owned() })?;
    if !backend.compiled {
        return Err(DeviceError::NotCompiled { name: backend.name });
    }
    if backend.name == "flex" {
        isa::requested()?;
    }
    match (backend.driver)() {
        Ok(_) => Ok(backend.name),
        Err(missing) => Err(DeviceError::NoDriver { name: backend.name, missing }),
    }
}

/// Opens a device without automatic differentiation; training adds `.autodiff()`.
///
/// # Errors
/// Those of [`resolve`], and [`DeviceError::Unusable`] when the driver is present but has no working device.
pub fn open(name: &str) -> Result<Device, DeviceError> {
    let name = resolve(name)?;
    if name == "flex" {
        return Ok(connect(name));
    }
    let found = found(name)?;
    // Let cubecl panic here, on the first operation, if the driver has no working device for another reason.
    std::panic::catch_unwind(|| {
        let device = connect(name);
        device.sync().map(|()| device).map_err(|error| error.to_string())
    })
    .unwrap_or_else(|_| Err("the driver failed to start".to_owned()))
    .map_err(|reason| DeviceError::Unusable { name, reason })
    .inspect(|_| tuning::on_device(&format!("{name}: {found}")))
}

/// Keeps `auto` from choosing a graphics driver without an adapter, or an adapter that works on the processor: `flex`
/// does that better.
fn is_worth_it(name: &'static str) -> bool {
    match name {
        #[cfg(feature = "wgpu")]
        "wgpu" | "vulkan" | "metal" => graphics::adapter(name).is_ok_and(|adapter| !adapter.software),
        _ => true,
    }
}

/// Opens a device as [`open`] does, for matrix products in `precision`. The CPU has its own products for each
/// precision.
///
/// # Errors
/// Those of [`open`], and [`DeviceError::NoBf16`] for a device that cannot compute with bf16 elements.
pub fn open_with(name: &str, precision: Precision) -> Result<Device, DeviceError> {
    let (name, device) = (resolve(name)?, open(name)?);
    match precision {
        Precision::Bf16 if name != "flex" && !device.supports_dtype(DType::BF16) => Err(DeviceError::NoBf16 { name }),
        _ => Ok(device),
    }
}

/// Describes the graphics adapter behind a resolved name; `None` for other backends.
fn adapter(name: &'static str) -> Result<Option<String>, DeviceError> {
    match name {
        #[cfg(feature = "wgpu")]
        "wgpu" | "vulkan" | "metal" => {
            let adapter = graphics::adapter(name).map_err(|reason| DeviceError::Unusable { name, reason })?;
            Ok(Some(adapter.description))
        }
        _ => Ok(None),
    }
}

/// Describes the adapter behind a resolved name, or else the driver.
fn found(name: &'static str) -> Result<String, DeviceError> {
    if let Some(adapter) = adapter(name)? {
        return Ok(adapter);
    }
    let backend = BACKENDS.iter().find(|backend| backend.name == name).expect("a resolved name");
    (backend.driver)().map_err(|missing| DeviceError::NoDriver { name, missing })
}

/// Lists every device that this program knows, with what was found or is missing.
pub fn report() -> Vec<DeviceReport> {
    let chosen = resolve("auto").ok();
    let describe = |backend: &Backend| DeviceReport {
        name: backend.name,
        compiled: backend.compiled,
        found: resolve(backend.name).and_then(found),
        chosen: chosen == Some(backend.name),
    };
    BACKENDS.iter().map(describe).collect()
}

/// True when the fused CPU operations apply to tensors of this device.
pub(crate) fn is_flex(device: &Device) -> bool {
    match device.clone().without_autodiff().as_dispatch() {
        #[cfg(feature = "flex")]
        DispatchDevice::Flex(_) => true,
        _ => false,
    }
}

/// True when our GPU kernels apply to tensors of this device.
#[cfg(feature = "cube")]
pub(crate) fn is_cube(device: &Device) -> bool {
    matches!(device.clone().without_autodiff().as_dispatch(), DispatchDevice::Cube(_))
}

fn connect(name: &str) -> Device {
    match name {
        #[cfg(feature = "flex")]
        "flex" => Device::flex(),
        #[cfg(feature = "cuda")]
        "cuda" => Device::cuda(0usize),
        #[cfg(feature = "metal")]
        "metal" => Device::metal(burn::tensor::DeviceKind::DefaultDevice),
        #[cfg(feature = "vulkan")]
        "vulkan" => Device::vulkan(burn::tensor::DeviceKind::DefaultDevice),
        #[cfg(feature = "wgpu")]
        "wgpu" => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        other => unreachable!("`resolve` accepts only compiled backends, not {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "wgpu")]
    use std::fs;

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = resolve("gpu").expect_err("no such device");
        assert_eq!(error, DeviceError::Unknown { name: "gpu".into() });
        assert!(error.to_string().contains("auto, flex, cuda"));
    }

    /// WebGPU's language has no bf16; the CPU does.
    #[cfg(all(feature = "wgpu", feature = "flex"))]
    #[test]
    fn a_device_without_bf16_says_so() {
        assert!(open_with("flex", Precision::Bf16).is_ok());
        if let Ok(device) = open("wgpu") {
            let expected = match device.supports_dtype(DType::BF16) {
                true => Ok(device),
                false => Err(DeviceError::NoBf16 { name: "wgpu" }),
            };
            assert_eq!(open_with("wgpu", Precision::Bf16), expected);
            assert!(open_with("wgpu", Precision::F32).is_ok());
        }
    }

    #[cfg(feature = "flex")]
    #[test]
    fn flex_opens_without_automatic_differentiation() {
        let device = open("flex").expect("always there");
        assert!(is_flex(&device) && !device.is_autodiff());
        assert!(is_flex(&device.autodiff()));
    }

    #[cfg(all(feature = "flex", not(feature = "wgpu"), not(feature = "cuda")))]
    #[test]
    fn a_build_without_gpu_support_says_how_to_get_it() {
        assert_eq!(resolve("auto"), Ok("flex"));
        assert_eq!(resolve("cuda"), Err(DeviceError::NotCompiled { name: "cuda" }));
        let chosen: Vec<_> = report().into_iter().filter(|report| report.chosen).map(|report| report.name).collect();
        assert_eq!(chosen, ["flex"]);
    }

    /// Detects Mesa's CPU driver, which opens a device on any machine.
    #[cfg(feature = "wgpu")]
    fn has_software_driver() -> bool {
        let folders = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
        let mut manifests = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        manifests.any(|manifest| manifest.file_name().to_string_lossy().starts_with("lvp_icd"))
    }

    #[cfg(feature = "wgpu")]
    #[test]
    fn a_graphics_device_opens_where_a_driver_is_and_is_named_in_the_refusal_elsewhere() {
        let report = report().into_iter().find(|report| report.name == "wgpu").expect("compiled");
        match open("wgpu") {
            Ok(device) => {
                let found = report.found.expect("it opens");
                assert!(is_cube(&device) && !found.is_empty());
                assert!(!(report.chosen && found.contains(", Cpu ")), "`auto` is not a processor's {found}");
            }
            Err(error) => {
                let why = error.to_string();
                assert!(!has_software_driver(), "a driver is installed, but {why}");
                assert!(why.contains("`wgpu`"), "{why}");
                assert_eq!(report.found, Err(error));
            }
        }
        assert_eq!(open("wgpu").is_ok(), open("wgpu").is_ok(), "an adapter is opened once");
    }
}
