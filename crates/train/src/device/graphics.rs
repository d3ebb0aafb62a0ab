//! Graphics adapters for wgpu. Each is opened once and before burn opens it, because burn panics on its own threads
//! without an adapter.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cubecl::wgpu::wgpu::DeviceType;
use cubecl::wgpu::{AutoGraphicsApi, RuntimeOptions, WgpuBackend, WgpuDevice, WgpuDeviceKind, try_init_setup};

#[derive(Clone)]
pub(super) struct Adapter {
    /// Name, kind, interface and driver.
    pub description: String,
    /// True when the processor does the adapter's work.
    pub software: bool,
}

/// Results of opening, by device name: an adapter cannot be opened twice.
static OPENED: Mutex<BTreeMap<&str, Result<Adapter, String>>> = Mutex::new(BTreeMap::new());

/// Opens the adapter that burn uses for `name`, and describes it; an error is the driver's message.
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
