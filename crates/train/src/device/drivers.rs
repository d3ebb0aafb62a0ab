//! Looks for drivers on disk. Each function describes the driver, or says what is missing.
//!
//! cubecl aborts the process when a driver library is absent, so nothing here loads one.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cpu::simd::Instructions;

pub fn processor() -> Result<String, String> {
    Ok(match Instructions::best().has_tiles() {
        true => "the processor, with AMX for bf16".to_owned(),
        false => "the processor".to_owned(),
    })
}

pub fn cuda() -> Result<String, String> {
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

pub fn metal() -> Result<String, String> {
    match cfg!(target_os = "macos") {
        true => Ok("part of macOS".to_owned()),
        false => Err("metal exists only on macOS".to_owned()),
    }
}

pub fn vulkan() -> Result<String, String> {
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

pub fn any_graphics() -> Result<String, String> {
    metal().or_else(|_| vulkan())
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
