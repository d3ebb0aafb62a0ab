//! Selects and opens the compute device. A new backend needs a Cargo feature and one arm in `connect`.
//!
//! cubecl aborts the process when a driver library is absent. A device is therefore opened only after its driver was
//! found on disk, and nothing asks for burn's default device.

#[cfg(all(test, feature = "wgpu", feature = "flex"))]
pub mod fixtures;
#[cfg(feature = "wgpu")]
mod graphics;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device};
use thiserror::Error;

use super::precision::Precision;
use super::tuning;
use crate::cpu::isa;
use crate::cpu::simd::Instructions;

/// A device that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DeviceError {
    #[error("`{name}` is not a device; use one of: auto, flex, cuda, metal, vulkan, wgpu")]
    Unknown { name: String },
    #[error("this build has no `{name}` support; rebuild with `--features {name}`, or use `flex`")]
    NotCompiled { name: &'static str },
    #[error("`{name}` has no driver on this machine: {missing}; install it, or use `flex`")]
    NoDriver { name: &'static str, missing: String },
    #[error(transparent)]
    Isa(#[from] isa::IsaError),
    #[error("`{name}` has a driver but no working device: {reason}; try `flex`")]
    Unusable { name: &'static str, reason: String },
    #[error("`{name}` has no bf16 here; use `precision = \"f32\"`, or another device")]
    NoBf16 { name: &'static str },
}

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

/// A supported backend and the probe for its driver.
struct Backend {
    name: &'static str,
    compiled: bool,
    /// Describes the driver, or says what is missing.
    driver: fn() -> Result<String, String>,
}

/// Backends in the order in which `auto` tries them.
const BACKENDS: [Backend; 5] = [
    Backend { name: "cuda", compiled: cfg!(feature = "cuda"), driver: cuda_driver },
    Backend { name: "metal", compiled: cfg!(feature = "metal"), driver: metal_driver },
    Backend { name: "vulkan", compiled: cfg!(feature = "vulkan"), driver: vulkan_driver },
    Backend { name: "wgpu", compiled: cfg!(feature = "wgpu"), driver: any_graphics_driver },
    Backend { name: "flex", compiled: cfg!(feature = "flex"), driver: processor },
];

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

fn processor() -> Result<String, String> {
    Ok(match Instructions::best().has_tiles() {
        true => "the processor, with AMX for bf16".to_owned(),
        false => "the processor".to_owned(),
    })
}

fn cuda_driver() -> Result<String, String> {
    const NODES: [&str; 3] = ["/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-gpu"];
    let library = find_library(&["libcuda.so.1", "libcuda.so"])?;
    if !NODES.iter().any(|node| Path::new(node).exists()) {
        return Err(format!("none of {} exists", NODES.join(", ")));
    }
    let gpus = nvidia_gpus(Path::new("/proc/driver/nvidia"));
    Ok(gpus.map_or(library.clone(), |gpus| format!("{gpus}, {library}")))
}

/// GPU models and driver version, where the kernel reports them; the kernel of Windows (WSL) does not.
fn nvidia_gpus(driver: &Path) -> Option<String> {
    let value = |path: PathBuf, key: &str| {
        let text = fs::read_to_string(path).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix(key))?.trim_start_matches(':');
        Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let folders = fs::read_dir(driver.join("gpus")).ok()?.flatten();
    let mut models: Vec<_> = folders.filter_map(|gpu| value(gpu.path().join("information"), "Model")).collect();
    models.sort();
    let version = value(driver.join("version"), "NVRM version")?;
    Some(format!("{}, {version}", models.join(" and ")))
}

fn metal_driver() -> Result<String, String> {
    match cfg!(target_os = "macos") {
        true => Ok("part of macOS".to_owned()),
        false => Err("metal exists only on macOS".to_owned()),
    }
}

fn vulkan_driver() -> Result<String, String> {
    const MANIFESTS: [&str; 4] = [
        "/usr/share/vulkan/icd.d",
        "/etc/vulkan/icd.d",
        "/usr/local/share/vulkan/icd.d",
        "/opt/homebrew/share/vulkan/icd.d",
    ];
    let library = find_library(&["libvulkan.so.1", "libvulkan.so", "libvulkan.1.dylib"])?;
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].iter().any(|name| env::var_os(name).is_some());
    let has_manifest = |dir: &&str| fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    match named || MANIFESTS.iter().any(has_manifest) {
        true => Ok(library),
        false => Err(format!("no vulkan driver manifest in {}", MANIFESTS.join(", "))),
    }
}

fn any_graphics_driver() -> Result<String, String> {
    metal_driver().or_else(|_| vulkan_driver())
}

/// Path of the first library that exists.
fn find_library(names: &[&str]) -> Result<String, String> {
    let directories = library_directories(env::var_os("LD_LIBRARY_PATH").as_deref(), Path::new("/etc/ld.so.conf.d"));
    let paths = directories.iter().flat_map(|dir| names.iter().map(move |name| dir.join(name)));
    let found = paths.into_iter().find(|path| path.exists()).map(|path| path.display().to_string());
    found.ok_or_else(|| format!("{} is not in the library directories", names[0]))
}

/// Directories that the dynamic linker searches: the search path, those of `ld.so.conf.d`, the usual ones.
fn library_directories(search_path: Option<&OsStr>, configuration: &Path) -> Vec<PathBuf> {
    const USUAL: [&str; 8] = [
        "/lib",
        "/lib64",
        "/usr/lib",
        "/usr/lib64",
        "/usr/local/lib",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib/wsl/lib",
    ];
    let mut directories: Vec<PathBuf> = search_path.map(|path| env::split_paths(path).collect()).unwrap_or_default();
    let files = fs::read_dir(configuration).into_iter().flatten().flatten();
    for text in files.filter_map(|file| fs::read_to_string(file.path()).ok()) {
        directories.extend(text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(PathBuf::from));
    }
    directories.extend(USUAL.iter().map(PathBuf::from));
    directories
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn nvidia_gpus_are_named_with_their_driver() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(nvidia_gpus(dir.path()), None);
        for gpu in ["0000:18:00.0", "0000:2a:00.0"] {
            let folder = dir.path().join("gpus").join(gpu);
            fs::create_dir_all(&folder).expect("created");
            fs::write(folder.join("information"), "Model: \t\t NVIDIA H200\nIRQ:   \t\t 18\n").expect("written");
        }
        let version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.1  Tue\nGCC version:  gcc 12\n";
        fs::write(dir.path().join("version"), version).expect("written");
        let expected = "NVIDIA H200 and NVIDIA H200, NVIDIA UNIX x86_64 Kernel Module 570.1 Tue";
        assert_eq!(nvidia_gpus(dir.path()).as_deref(), Some(expected));
    }

    #[test]
    fn library_directories_come_from_the_environment_then_the_linker() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("gpu.conf"), "# drivers\n/opt/driver/lib\n").expect("written");
        let directories = library_directories(Some(OsStr::new("/first:/second")), dir.path());
        let expected = ["/first", "/second", "/opt/driver/lib", "/lib"].map(PathBuf::from);
        assert_eq!(directories[..4], expected);
    }
}
