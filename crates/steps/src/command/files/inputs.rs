//! Digests of the files that a command reads, for the step's key.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};

use stepwell_artifact::{Listing, OutsideError, Stamp, open_regular};
use stepwell_base::artifact::Digest;
use stepwell_base::failure::Failure;

use super::super::arguments::Arguments;
use super::named_files::{NamedFile, counted, covers};
use super::project::Project;

/// Minimum age of a file whose digest is cached by its metadata: two writes within one tick of the file system's clock
/// look the same.
const SETTLED: Duration = Duration::from_secs(2);
/// Maximum number of cached digests; a full cache is cleared.
const REMEMBERED: usize = 4096;

/// Returns `{"inputs": DIGESTS, "argv": DIGESTS}`, for the declared inputs and for the files that `argv` names; null
/// without any. After the first attempt of a step, `argv` keeps its set of files, and all except the first two keep
/// their digests: those two are the program and its script. A file that an attempt wrote, such as a log, is no reason
/// to start over.
///
/// # Errors
/// A fatal failure that names the missing or unusable input.
pub(in crate::command) fn fingerprint(
    arguments: &Arguments,
    project: Project<'_>,
    earlier: Option<&Value>,
) -> Result<Value, Failure> {
    let mut parts = Map::new();
    if !arguments.inputs.is_empty() {
        parts.insert("inputs".to_owned(), digests(&arguments.inputs, project)?);
    }
    let named = counted(arguments, project).into_iter();
    let named = named.filter(|file| !covers(&arguments.inputs, project, &file.path));
    let named = named.map(|NamedFile { name, path }| (name.display().to_string(), path));
    let named = named.filter(|(name, _)| earlier.is_none_or(|earlier| earlier["argv"].get(name).is_some()));
    // A script that this user cannot read is left to the program, which reports it.
    let digests = named.enumerate().filter_map(|(index, (name, path))| {
        let kept = earlier.filter(|_| index > 1).map(|earlier| earlier["argv"][&name].clone());
        Some((name, kept.or_else(|| Some(Value::from(remembered_digest(&path).ok()?.as_str())))?))
    });
    let digests: Map<String, Value> = digests.collect();
    if !digests.is_empty() {
        parts.insert("argv".to_owned(), Value::Object(digests));
    }
    Ok(if parts.is_empty() { Value::Null } else { Value::Object(parts) })
}

/// Maps each path to its digest, or a folder to an object of its files.
fn digests(inputs: &[PathBuf], project: Project<'_>) -> Result<Value, Failure> {
    let mut all = Map::new();
    for path in inputs {
        let digest = digest(&project.find(path)).map_err(|error| unusable(path, project, &error))?;
        all.insert(path.display().to_string(), digest);
    }
    Ok(Value::Object(all))
}

fn unusable(path: &Path, project: Project<'_>, error: &OutsideError) -> Failure {
    let failure = Failure::fatal(format!("the input `{}` cannot be used: {error}", path.display()));
    if !error.is_missing() {
        return failure.with_hint(error.hint());
    }
    failure.with_hint(format!("relative `inputs` start at {}", project.start_of_paths()))
}

fn digest(path: &Path) -> Result<Value, OutsideError> {
    let listing = Listing::of(path)?;
    let mut files = Map::new();
    for file in &listing.files {
        let digest = Value::from(file_digest(&file.path)?.as_str());
        if !listing.is_folder {
            return Ok(digest);
        }
        files.insert(file.name.clone(), digest);
    }
    Ok(Value::Object(files))
}

pub(in crate::command) fn file_digest(path: &Path) -> Result<Digest, OutsideError> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut open_regular(path)?, &mut hasher).map_err(|error| OutsideError::io(path, error))?;
    Ok(hasher.finalize().into())
}

/// Caches digests: every step of a workflow, and every item of a fan-out, may name the same program.
fn remembered_digest(path: &Path) -> Result<Digest, OutsideError> {
    static KNOWN: LazyLock<Mutex<HashMap<PathBuf, (Stamp, Digest)>>> = LazyLock::new(Mutex::default);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let stamp = Stamp::of(&path.metadata().map_err(|error| OutsideError::io(path, error))?);
    if let Some((_, digest)) = known().get(path).filter(|(seen, _)| *seen == stamp) {
        return Ok(digest.clone());
    }
    let digest = file_digest(path)?;
    if !stamp.is_within(SETTLED) {
        let mut known = known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(path.to_owned(), (stamp, digest.clone()));
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn nowhere() -> Project<'static> {
        Project(Path::new(""))
    }

    fn arguments(with: Value) -> Arguments {
        serde_json::from_value(with).unwrap()
    }

    #[test]
    fn scripts_that_argv_names_count_by_content_and_outputs_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        fs::write(at("p.py"), "one").unwrap();
        fs::write(at("conf.toml"), "a = 1").unwrap();
        let with = json!({
            "argv": ["python3", "p.py", "--config=conf.toml", "--out", "result.txt", at("p.py")],
            "cwd": dir.path(), "outputs": { "result": "result.txt" },
        });
        let key = |with: &Value| fingerprint(&arguments(with.clone()), nowhere(), None).unwrap();
        let first = key(&with);
        let names: Vec<&String> = first["argv"].as_object().unwrap().keys().collect();
        assert_eq!(names, [&at("conf.toml"), &at("p.py")]);
        fs::write(at("result.txt"), "made").unwrap();
        assert_eq!(key(&with), first, "a declared output is no input");
        fs::write(at("p.py"), "two").unwrap();
        assert_ne!(key(&with)["argv"][at("p.py")], first["argv"][at("p.py")]);
        assert_eq!(key(&with)["argv"][at("conf.toml")], first["argv"][at("conf.toml")]);

        let change = |name: &str, value: Value| {
            let mut with = with.clone();
            with[name] = value;
            key(&with)
        };
        assert_eq!(change("argv_files", json!(false)), Value::Null);
        assert_eq!(change("inputs", json!([dir.path()]))["argv"], Value::Null, "what is an input counts once");
        assert_eq!(change("cwd", Value::Null)["argv"].as_object().unwrap().len(), 1, "only the absolute path");
        assert_eq!(key(&json!({ "shell": "p.py", "cwd": dir.path() })), Value::Null);
    }

    #[test]
    fn a_file_that_an_attempt_wrote_is_no_reason_for_the_next_to_start_over() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        fs::write(at("p.py"), "one").unwrap();
        let arguments = arguments(json!({ "argv": ["python3", at("p.py"), at("run.log")] }));
        let first = fingerprint(&arguments, nowhere(), None).unwrap();
        fs::write(at("run.log"), "line").unwrap();
        assert_eq!(fingerprint(&arguments, nowhere(), Some(&first)).unwrap(), first);
        assert_eq!(
            fingerprint(&arguments, nowhere(), Some(&Value::Null)).unwrap(),
            Value::Null,
            "an attempt of an older build"
        );
        fs::write(at("p.py"), "two").unwrap();
        assert_ne!(fingerprint(&arguments, nowhere(), Some(&first)).unwrap(), first);
    }

    #[test]
    fn a_log_that_was_there_before_is_no_reason_to_start_over() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        for name in ["python", "p.py", "run.log"] {
            fs::write(at(name), name).unwrap();
        }
        let arguments = arguments(json!({ "argv": [at("python"), at("p.py"), "--log", at("run.log")] }));
        let first = fingerprint(&arguments, nowhere(), None).unwrap();
        assert_eq!(first["argv"].as_object().unwrap().len(), 3);
        fs::write(at("run.log"), "a line").unwrap();
        assert_eq!(fingerprint(&arguments, nowhere(), Some(&first)).unwrap(), first);
        assert_ne!(fingerprint(&arguments, nowhere(), None).unwrap(), first, "for another run it is another file");
    }
}
