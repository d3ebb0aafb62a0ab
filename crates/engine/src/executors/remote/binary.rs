//! The binary that serves the other side: a copy of this one, named by its digest, so that both sides are of one build even when the
//! installed file is replaced.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use stepwell_base::artifact::Digest;
use stepwell_steps::own_binary;

/// Folder of the copies in the state directory.
const FOLDER: &str = "bin";

/// Digest of this program's file, which is read once.
pub(super) fn own_digest() -> io::Result<Digest> {
    static DIGEST: Mutex<Option<Digest>> = Mutex::new(None);
    let mut known = DIGEST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(digest) = known.as_ref() {
        return Ok(digest.clone());
    }
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut File::open(own_binary()?)?, &mut hasher)?;
    Ok(known.insert(Digest::from(hasher.finalize())).clone())
}

/// Returns the path of the copy in the state directory, which it makes if needed.
pub(super) fn copy_in(state_dir: &Path) -> io::Result<PathBuf> {
    let folder = state_dir.join(FOLDER).join(&own_digest()?.as_str()[..16]);
    let path = folder.join("stepwell");
    if path.is_file() {
        return Ok(path);
    }
    fs::create_dir_all(&folder)?;
    let draft = folder.join(format!("draft-{}", std::process::id()));
    // No failpoint: a half-made copy never has the name, and the next engine makes another.
    fs::copy(own_binary()?, &draft)?;
    File::open(&draft)?.sync_all()?;
    fs::rename(&draft, &path)?;
    Ok(path)
}
