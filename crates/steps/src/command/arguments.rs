//! Arguments of a command in a workflow.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::{ArtifactRef, EXECUTABLE_MEDIA_TYPE};
use stepwell_base::failure::Failure;
use stepwell_base::faults::around;

use super::checkpoint::remove;
use super::files::PROJECT_DIR;

/// Arguments of `command`: exactly one of `argv` and `shell`.
#[derive(Deserialize, JsonSchema, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Arguments {
    /// Program and arguments, started without a shell. An artifact among them becomes the path of its content, a list
    /// of artifacts several paths; the name of a file in the folder of the workflow file becomes the path of that file, unless `cwd` is given.
    #[schemars(extend("examples" = [["python3", "train.py"]]))]
    pub argv: Vec<Value>,
    /// Script for `/bin/sh -c`.
    pub shell: Option<String>,
    /// Environment variables, added to those of the engine. An artifact becomes the path of its content.
    #[schemars(extend("examples" = [{ "SEED": "1" }]))]
    pub env: BTreeMap<String, Value>,
    /// Files and folders that the program reads, in the folder of the workflow file, or else relative to the engine's
    /// directory. Their content becomes part of the step's key.
    #[schemars(extend("examples" = [["data"]]))]
    pub inputs: Vec<PathBuf>,
    /// Set to false to leave the files that `argv` names out of the step's key. By default they count like `inputs`,
    /// except declared outputs and files above 64 MiB.
    pub argv_files: Option<bool>,
    /// Output name -> file or folder, relative to `STEPWELL_OUTPUT_DIR`, or else to the working directory.
    #[schemars(extend("examples" = [{ "model": "model.pt" }]))]
    pub outputs: BTreeMap<String, PathBuf>,
    /// Working directory: a folder in that of the workflow file, or else relative to the engine's directory. Default: a
    /// directory of the step that is kept across attempts and removed after success.
    pub cwd: Option<PathBuf>,
    /// Set to true if equal arguments and inputs give equal outputs, so that a step can reuse earlier ones. Default:
    /// true when `outputs` are declared.
    pub cache: Option<bool>,
}

impl Arguments {
    /// Replaces each artifact in `argv` and `env` with the path of its verified, read-only content. A tree or an
    /// executable file is first copied into the step's own folder. A list of artifacts in `argv` becomes several arguments.
    ///
    /// # Errors
    /// When content is missing or damaged, or its path is not UTF-8.
    pub(super) fn with_paths(mut self, artifacts: &ArtifactStore, scratch: &Path) -> Result<Self, Failure> {
        self.argv = self.argv.into_iter().flat_map(words).collect();
        for value in self.argv.iter_mut().chain(self.env.values_mut()) {
            let Some(artifact) = artifact(value) else { continue };
            let path = path_of(&artifact, artifacts, scratch)?;
            let absolute = std::path::absolute(&path).unwrap_or(path);
            let text = absolute.to_str().ok_or_else(|| {
                Failure::fatal(format!("the path of an artifact is not UTF-8: `{}`", absolute.display())).with_hint(
                    "arguments and variables of commands are text: use a state directory whose path is UTF-8",
                )
            })?;
            *value = Value::from(text);
        }
        Ok(self)
    }

    /// Returns the program and its arguments.
    ///
    /// # Errors
    /// A fatal failure unless exactly one of `argv` and `shell` is given.
    pub(super) fn command_line(&self) -> Result<Vec<OsString>, Failure> {
        match (&self.shell, self.argv.as_slice()) {
            (Some(script), []) => {
                without_nul(script, "shell")?;
                Ok(["/bin/sh", "-c", script].map(OsString::from).to_vec())
            }
            (None, [_, ..]) => {
                let found = self.argv.iter().enumerate().flat_map(|(index, word)| {
                    words(word.clone()).into_iter().map(move |word| text(&word, &format!("argv[{index}]")))
                });
                found.map(|word| word.map(OsString::from)).collect()
            }
            (None, []) => Err(Failure::fatal("the command is empty")
                .with_hint("give `argv = [\"program\", \"argument\"]` or `shell = \"script\"`")),
            (Some(_), _) => Err(Failure::fatal("both `argv` and `shell` are given").with_hint("give one of them")),
        }
    }

    /// Returns the user's environment variables.
    ///
    /// # Errors
    /// A fatal failure for an invalid variable name, and for a value that is not text, a number or a boolean.
    pub(super) fn environment(&self) -> Result<Vec<(String, String)>, Failure> {
        let variable = |(name, value): (&String, &Value)| {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(Failure::fatal(format!("{name:?} cannot be the name of a variable"))
                    .with_hint("a name is not empty and has neither `=` nor a NUL byte"));
            }
            Ok((name.clone(), text(value, &format!("env.{name}"))?))
        };
        self.env.iter().map(variable).collect()
    }

    /// True if inputs or words of the command look like files that lie in the folder of the workflow.
    pub(super) fn may_name_files(&self) -> bool {
        let looks_like_a_file = |word: &str| {
            let path = Path::new(word);
            let is_plain = path.is_relative() && !word.contains(char::is_whitespace) && !word.starts_with('-');
            is_plain && (path.extension().is_some() || word.contains('/'))
        };
        let names_one = |script: &str| script.contains(PROJECT_DIR) || script.split_whitespace().any(looks_like_a_file);
        !self.inputs.is_empty()
            || self.cwd.as_ref().is_some_and(|folder| folder.is_relative())
            || self.shell.as_deref().is_some_and(names_one)
            || self.argv.iter().filter_map(Value::as_str).any(looks_like_a_file)
    }

    pub(super) fn cacheable(&self) -> bool {
        self.cache.unwrap_or(!self.outputs.is_empty())
    }
}

/// The artifacts of a list that the outputs of a fan-out gave, or the value itself.
fn words(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) if items.iter().all(|item| artifact(item).is_some()) => items,
        other => vec![other],
    }
}

/// The path of the content of an artifact.
fn path_of(artifact: &ArtifactRef, artifacts: &ArtifactStore, scratch: &Path) -> Result<PathBuf, Failure> {
    if !artifact.is_tree() && artifact.media_type != EXECUTABLE_MEDIA_TYPE {
        return Ok(artifacts.verified_path(artifact)?);
    }
    let copy = scratch.join("inputs").join(artifact.digest.as_str());
    // An earlier attempt may have changed the copy.
    if copy.exists() && !artifacts.is_copy(&copy, artifact).unwrap_or(false) {
        remove(&copy).map_err(|error| Failure::io("cannot prepare the inputs", &error))?;
    }
    if !copy.exists() {
        around!("command.inputs", std::fs::create_dir_all(scratch.join("inputs")))
            .map_err(|error| Failure::io("cannot prepare the inputs", &error))?;
        artifacts.materialise(artifact, &copy)?;
    }
    Ok(copy)
}

/// Parses the artifact that a template such as `{{ steps.make.outputs.numbers }}` gave.
fn artifact(value: &Value) -> Option<ArtifactRef> {
    value.is_object().then(|| serde_json::from_value(value.clone()).ok()).flatten()
}

fn without_nul(text: &str, argument: &str) -> Result<(), Failure> {
    if !text.contains('\0') {
        return Ok(());
    }
    Err(Failure::fatal(format!("`{argument}` holds a NUL byte, which no program can be given"))
        .with_hint("write it to a file, or encode it"))
}

/// Converts a value to text: templates give numbers and booleans as such, but programs see text.
fn text(value: &Value, argument: &str) -> Result<String, Failure> {
    match value {
        Value::String(text) => without_nul(text, argument).map(|()| text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        // Occurs only before an attempt; then `with_paths` replaces the artifact.
        Value::Object(_) if artifact(value).is_some() => Ok(value["digest"].to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(Failure::fatal(format!("`{argument}` holds {value}, which is no text, number or boolean"))
                .with_hint("join a list with a template filter, `| join(\" \")`, or name one value of it"))
        }
    }
}
