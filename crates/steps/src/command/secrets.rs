//! Secrets of one attempt: read at its start, given only to the program, and hidden in all stored text.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, PipeWriter, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use stepwell_artifact::open_regular;
use stepwell_base::failure::Failure;
use stepwell_base::secret::{Secret, SecretSource, StandIns, map_texts};

use super::files::Project;
use super::redact::Redactor;

/// Maximum size of a secret in bytes.
const LONGEST: u64 = 64 << 10;
/// Maximum wait for the last output of an ended program to reach the log.
const LAST_OUTPUT: Duration = Duration::from_secs(5);

pub(super) struct Secrets {
    /// Keyed by stand-in.
    values: BTreeMap<String, String>,
}

impl Secrets {
    /// Reads the secrets that an attempt uses.
    ///
    /// # Errors
    /// A fatal failure that names a missing secret, or one that a program cannot receive.
    pub(super) fn read(stand_ins: &StandIns, project: Project<'_>) -> Result<Secrets, Failure> {
        let values = stand_ins.iter().map(|(stand_in, secret)| Ok((stand_in.clone(), read_in(secret, project)?)));
        Ok(Secrets { values: values.collect::<Result<_, Failure>>()? })
    }

    /// Returns the arguments with the secrets in place of their stand-ins.
    pub(super) fn reveal(&self, with: &Value) -> Value {
        if self.values.is_empty() {
            return with.clone();
        }
        map_texts(with, &mut |text| {
            // One pass is enough: a secret that looks like a stand-in stays unchanged.
            let mut revealed = String::new();
            let mut rest = text;
            while let Some((at, stand_in, value)) = self.first_in(rest) {
                revealed.push_str(&rest[..at]);
                revealed.push_str(value);
                rest = &rest[at + stand_in.len()..];
            }
            revealed + rest
        })
    }

    fn first_in(&self, text: &str) -> Option<(usize, &str, &str)> {
        let found = self.values.iter().filter_map(|(stand_in, value)| {
            text.find(stand_in.as_str()).map(|at| (at, stand_in.as_str(), value.as_str()))
        });
        found.min_by_key(|(at, ..)| *at)
    }

    pub(super) fn redactor(&self) -> Redactor {
        Redactor::new(self.values.values().map(String::as_str))
    }
}

/// Reads the value of a secret of the settings; its file is relative to the directory of the process.
///
/// # Errors
/// A fatal failure that names a missing secret, or one that a program cannot receive.
pub fn read(secret: &Secret) -> Result<String, Failure> {
    read_in(secret, Project(Path::new("")))
}

fn read_in(secret: &Secret, project: Project<'_>) -> Result<String, Failure> {
    let Secret { name, source } = secret;
    let refused = |why: String, hint: String| Failure::fatal(format!("the secret `{name}` {why}")).with_hint(hint);
    let (value, from) = match source {
        SecretSource::Env(variable) => {
            let value = std::env::var_os(variable).unwrap_or_default();
            let value = value.into_string().map_err(|_| {
                refused(format!("in the variable `{variable}` is not UTF-8"), "encode it, such as in base64".to_owned())
            })?;
            (value, format!("the variable `{variable}`"))
        }
        SecretSource::File(path) => {
            let mut value = String::new();
            let open = open_regular(&project.find(&expanded(path)));
            let file = open.map_err(|error| refused(format!("cannot be read: {error}"), error.hint().to_owned()))?;
            file.take(LONGEST + 1).read_to_string(&mut value).map_err(|error| {
                refused(format!("cannot be read: `{path}`: {error}"), "write it as UTF-8 text".to_owned())
            })?;
            (value.trim_end_matches(['\r', '\n']).to_owned(), format!("the file `{path}`"))
        }
    };
    match value.len() as u64 {
        0 => Err(refused(
            format!("has no value: {from} is empty or not set"),
            "set it for the command that starts the engine, then `stepwell resume`".to_owned(),
        )),
        length if length > LONGEST => {
            Err(refused(format!("has more than {LONGEST} bytes"), "pass the path of its file instead".to_owned()))
        }
        _ if value.contains('\0') => {
            Err(refused("holds a NUL byte".to_owned(), "encode it, such as in base64".to_owned()))
        }
        _ => Ok(value),
    }
}

/// Expands a leading `~/` to the home folder.
fn expanded(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// Copies the output of a program's processes to its log, without the secrets.
pub(super) struct RedactedLog {
    ended: Receiver<()>,
}

impl RedactedLog {
    /// Forwards everything written to the pipe to `log`.
    ///
    /// # Errors
    /// When the system has no free pipe or thread.
    pub(super) fn start(redactor: Redactor, log: File) -> io::Result<(RedactedLog, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let (done, ended) = channel();
        thread::Builder::new().name("redact".to_owned()).spawn(move || {
            redactor.copy(reader, log);
            // The receiver is gone if its wait timed out.
            let _ = done.send(());
        })?;
        Ok((RedactedLog { ended }, writer))
    }

    /// Waits until the log has all output, up to a limit: a process that survived its kill may still hold the pipe.
    pub(super) fn finish(&self) {
        let _ = self.ended.recv_timeout(LAST_OUTPUT);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use stepwell_base::failure::FailureKind;

    fn nowhere() -> Project<'static> {
        Project(Path::new(""))
    }

    fn secret(source: SecretSource) -> StandIns {
        BTreeMap::from([("<s>".to_owned(), Secret { name: "key".to_owned(), source })])
    }

    #[test]
    fn a_file_gives_its_text_without_the_last_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key.txt");
        let source = SecretSource::File(file.display().to_string());
        std::fs::write(&file, "line 1\nline <s>\r\n").unwrap();
        let secrets = Secrets::read(&secret(source.clone()), nowhere()).unwrap();
        let with = secrets.reveal(&json!({ "env": { "A": "<s>", "B": "x <s><s> y" }, "n": 3 }));
        let text = "line 1\nline <s>";
        assert_eq!(with, json!({ "env": { "A": text, "B": format!("x {text}{text} y") }, "n": 3 }));
        for (content, said) in
            [("\n", "has no value"), ("a\0b", "NUL byte"), (&"x".repeat(70_000), "more than 65536 bytes")]
        {
            std::fs::write(&file, content).unwrap();
            let failure = Secrets::read(&secret(source.clone()), nowhere()).err().unwrap();
            assert!(failure.message.contains(said) && failure.message.contains("`key`"), "{failure}");
            assert_eq!(failure.kind, FailureKind::Fatal);
        }
    }

    #[test]
    fn a_relative_file_is_looked_for_beside_the_workflow_first() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key.txt"), "beside the workflow").unwrap();
        std::fs::write(dir.path().join("Cargo.toml"), "the nearer one").unwrap();
        let with = |file: &str, project: Project<'_>| {
            let secrets = Secrets::read(&secret(SecretSource::File(file.to_owned())), project);
            secrets.map(|secrets| secrets.reveal(&json!("<s>"))).map_err(|failure| failure.message)
        };
        let project = Project(dir.path());
        assert_eq!(with("key.txt", project), Ok(json!("beside the workflow")));
        assert_eq!(with("Cargo.toml", project), Ok(json!("the nearer one")));
        // Else it starts at the directory of the engine, as it always does for a workflow without a file.
        assert!(with("Cargo.toml", nowhere()).unwrap().as_str().unwrap().contains("[package]"));
        assert!(with("src/lib.rs", project).is_ok());
        assert!(with("key.txt", nowhere()).unwrap_err().contains("key.txt"));
    }

    #[test]
    fn a_missing_secret_is_named_with_what_to_set() {
        let missing = Secrets::read(&secret(SecretSource::Env("STEPWELL_TEST_NO_SUCH_VARIABLE".to_owned())), nowhere())
            .err()
            .unwrap();
        assert!(missing.message.contains("`key` has no value: the variable `STEPWELL_TEST_NO_SUCH_VARIABLE`"));
        let missing = Secrets::read(&secret(SecretSource::File("/no/such/file".to_owned())), nowhere()).err().unwrap();
        assert!(missing.message.contains("/no/such/file") && missing.kind == FailureKind::Fatal);
    }
}
