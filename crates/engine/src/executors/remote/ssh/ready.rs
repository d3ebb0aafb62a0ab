//! Makes the host ready once: its folder, and the binary that serves attempts there.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use stepwell_base::failure::Failure;
use stepwell_steps::own_binary;
use stepwell_workflow::executor::Ssh;

use super::super::binary::own_digest;
use super::super::host::HostError;
use super::line::{Line, TRANSFER, quoted};

/// What is known of the host, shared by all attempts there.
pub(in super::super) type Known = Arc<Mutex<Option<Ready>>>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(in super::super) struct Ready {
    /// Absolute path of the folder.
    pub root: String,
    pub program: String,
}

/// Returns the folder and the program; makes both if they are missing.
pub(super) fn ready(line: &Line, config: &Ssh, known: &Known) -> Result<Ready, HostError> {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(ready) = known.as_ref() {
        return Ok(ready.clone());
    }
    let folder = quoted(config.folder.strip_prefix("~/").unwrap_or(&config.folder));
    let answer = line.shell(&format!("umask 077; mkdir -p {folder} && cd {folder} && pwd -P && uname -sm"))?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let Some((root, system)) = answer.trim_end().split_once('\n') else {
        return Err(HostError::Unreachable(format!("{} answers `{}`", line.host(), answer.trim())));
    };
    let program = match &config.program {
        Some(program) => program.to_string_lossy().into_owned(),
        None => copy_program(line, root, system)?,
    };
    let found = Ready { root: root.to_owned(), program };
    *known = Some(found.clone());
    Ok(found)
}

/// Copies this program to the host, under its digest, if it is not there.
fn copy_program(line: &Line, root: &str, system: &str) -> Result<String, HostError> {
    let (here, there) = (own_system(), system.trim());
    if here != there {
        let failure = Failure::fatal(format!("{} is `{there}`, and this program is built for `{here}`", line.host()));
        return Err(HostError::Refused(
            failure.with_hint("install a build of this version there, and set `program` of the executor"),
        ));
    }
    let io = |error: std::io::Error| HostError::Refused(Failure::io("cannot read this program's own file", &error));
    let digest = own_digest().map_err(io)?;
    let path = format!("{root}/bin/{}/stepwell", &digest.as_str()[..16]);
    let there = line.shell(&format!("[ -x {} ] && echo there; true", quoted(&path)))?;
    if there.is_empty() {
        let file = own_binary().and_then(File::open).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        line.send(&receive(Path::new(&path), size, "755"), file, TRANSFER)?;
    }
    Ok(path)
}

/// The script that takes a file of `size` bytes from its input. A connection that drops leaves nothing under the file's name.
pub(super) fn receive(path: &Path, size: u64, mode: &str) -> String {
    let (folder, path) = (path.parent().unwrap_or(path).to_string_lossy(), path.to_string_lossy());
    let draft = quoted(&format!("{path}.draft-{}", std::process::id()));
    format!(
        "umask 077; mkdir -p {} && cat > {draft} && [ $(wc -c < {draft}) -eq {size} ] && chmod {mode} {draft} && mv -f {draft} {}",
        quoted(&folder),
        quoted(&path)
    )
}

/// As `uname -sm` says it.
fn own_system() -> String {
    let system = match std::env::consts::OS {
        "linux" => "Linux",
        "macos" => "Darwin",
        other => other,
    };
    let machine = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("macos", "aarch64") => "arm64",
        (_, machine) => machine,
    };
    format!("{system} {machine}")
}
