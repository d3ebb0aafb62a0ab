//! Graphics adapters for wgpu: opened once and before burn does, which would panic on its own threads without one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cubecl::wgpu::wgpu::DeviceType;
use cubecl::wgpu::{AutoGraphicsApi, RuntimeOptions, WgpuBackend, WgpuDevice, WgpuDeviceKind, try_init_setup};

/// An adapter.
#[derive(Clone)]
pub(super) struct Adapter {
    /// Its name, its kind, the interface and the driver.
    pub description: String,
    /// Whether the processor does its work.
    pub software: bool,
}

/// What opening has given, by the name of the device: an adapter cannot be opened twice.
static OPENED: Mutex<BTreeMap<&str, Result<Adapter, String>>> = Mutex::new(BTreeMap::new());

/// Opens the adapter that burn takes for `name`, and says which one it is.
///
/// # Errors
/// Why there is none, in the driver's words.
pub(super) fn adapter(name: &'static str) -> Result<Adapter, String> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    opened.entry(name).or_insert_with(|| open(name)).clone()
}

fn open(name: &str) -> Result<Adapter, String> {
    let backend = match name {
        "vulkan" => WgpuBackend::Vulkan,
        "metal" => WgpuBackend::Metal,
        _ => WgpuBackend::Auto,
    };
    let device = WgpuDevice::new(WgpuDeviceKind::DefaultDevice).on(backend);
    let setup =
        try_init_setup::<AutoGraphicsApi>(&device, RuntimeOptions::default()).map_err(|error| error.to_string())?;
    let info = setup.adapter.get_info();
    let description = format!("{}, {:?} through {}, {}", info.name, info.device_type, info.backend, info.driver_info);
    Ok(Adapter { description, software: info.device_type == DeviceType::Cpu })
}
