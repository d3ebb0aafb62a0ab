//! Explains why a program cannot start, and what helps. A retry helps only when the system lacks a resource.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use stepwell_artifact::open_regular;
use stepwell_base::failure::Failure;

use super::files::Project;

/// Maximum bytes on Linux of one argument, or of one variable with its name: 32 pages with the final NUL.
const LONGEST_STRING: usize = 128 * 1024 - 1;
/// Number of bytes of a script's first line that the kernel reads.
const FIRST_LINE: u64 = 256;

pub(super) struct Start<'a> {
    pub command_line: &'a [OsString],
    pub variables: &'a [(String, OsString)],
    pub work: &'a Path,
    pub project: Project<'a>,
}

impl Start<'_> {
    /// Finds the program file.
    ///
    /// # Errors
    /// A fatal failure when the program does not exist.
    pub(super) fn find(&self) -> Result<PathBuf, Failure> {
        let name = Path::new(&self.command_line[0]);
        let found = if name.components().count() > 1 {
            Some(self.work.join(name)).filter(|path| path.exists())
        } else {
            let own = self.variables.iter().rev().find(|(key, _)| key == "PATH").map(|(_, value)| value.clone());
            let path = own.or_else(|| std::env::var_os("PATH")).unwrap_or_default();
            let candidates = std::env::split_paths(&path).map(|folder| self.work.join(folder).join(name));
            candidates.into_iter().find(|path| path.exists())
        };
        found.ok_or_else(|| {
            let hint = match self.project.own(name) {
                Some(path) => format!("`{}` exists: write `./{}`", path.display(), name.display()),
                None => format!(
                    "`argv[0]` is looked up in PATH, or is the path of a file; a relative one starts at {}",
                    self.project.start_of_paths()
                ),
            };
            Failure::fatal(format!("there is no program `{}`", name.display())).with_hint(hint)
        })
    }

    /// Explains a start error of `program`.
    pub(super) fn explain(&self, error: &io::Error, program: &Path) -> Failure {
        let name = self.command_line[0].display();
        let fatal = |why: String, hint: String| Failure::fatal(format!("cannot start `{name}`: {why}")).with_hint(hint);
        if !self.work.is_dir() {
            let why = format!("its working directory `{}` is gone", self.work.display());
            return fatal(why, "do not remove or rename it while the step runs".to_owned());
        }
        let path = program.display();
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::TOOBIG) => {
                let hint =
                    "write the text to a file, such as an output of an earlier step, and pass the path of the file";
                fatal(self.too_long(), hint.to_owned())
            }
            Some(Errno::NOENT) => match interpreter(program) {
                Some(line) if line.ends_with('\r') => fatal(
                    format!("the first line of `{path}` ends with a carriage return"),
                    "save the script with line feeds (LF) as line ends".to_owned(),
                ),
                Some(line) => fatal(
                    format!("there is no interpreter `{line}`, which the first line of `{path}` names"),
                    "correct the first line, or name the interpreter in `argv`".to_owned(),
                ),
                None => fatal(error.to_string(), format!("is `{path}` a program for this system?")),
            },
            Some(Errno::ACCESS | Errno::PERM) if program.is_dir() => {
                fatal("it is a folder".to_owned(), "name a program in `argv[0]`".to_owned())
            }
            Some(Errno::ACCESS | Errno::PERM) => fatal(
                format!("`{path}` may not be executed"),
                "make it executable with `chmod +x`, or name its interpreter in `argv`".to_owned(),
            ),
            Some(Errno::NOEXEC | Errno::NOTDIR | Errno::ISDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::INVAL) => {
                fatal(error.to_string(), format!("is `{path}` a program for this system?"))
            }
            _ => Failure::io(format_args!("cannot start `{name}`"), error),
        }
    }

    fn too_long(&self) -> String {
        let arguments = self.command_line.iter().enumerate().map(|(n, word)| (format!("argument {n}"), word.len()));
        let own = self.variables.iter().map(|(name, value)| (format!("the variable `{name}`"), entry(name, value)));
        match arguments.chain(own).max_by_key(|(_, length)| *length) {
            Some((what, length)) if length > LONGEST_STRING => {
                format!("{what} is too long: it has {length} bytes, and the limit is {LONGEST_STRING} (128 KiB)")
            }
            _ => {
                let arguments: usize = self.command_line.iter().map(|word| word.len() + 1).sum();
                let own: usize = self.variables.iter().map(|(name, value)| entry(name, value) + 1).sum();
                let engine: usize = std::env::vars_os().map(|(name, value)| entry(&name, &value) + 1).sum();
                let total = arguments + own + engine;
                format!(
                    "its arguments and variables are too long: they have {total} bytes together, above the limit of this system"
                )
            }
        }
    }
}

/// Length of `name=value` in bytes.
fn entry(name: impl AsRef<OsStr>, value: &OsStr) -> usize {
    name.as_ref().len() + 1 + value.len()
}

/// Returns the text after `#!`, up to the first space.
fn interpreter(program: &Path) -> Option<String> {
    let mut start = Vec::new();
    open_regular(program).ok()?.take(FIRST_LINE).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = OsStr::from_bytes(line).to_string_lossy().into_owned();
    let words = line.trim_start_matches([' ', '\t']);
    Some(words.split([' ', '\t']).next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;
    use stepwell_base::failure::FailureKind;

    /// Starts `argv` for real and explains the error.
    fn failure(argv: &[&str], variables: &[(String, OsString)], work: &Path) -> Failure {
        let command_line: Vec<OsString> = argv.iter().map(OsString::from).collect();
        let start = Start { command_line: &command_line, variables, work, project: Project(Path::new("")) };
        let program = match start.find() {
            Ok(program) => program,
            Err(failure) => return failure,
        };
        let mut command = Command::new(&program);
        let command = command.args(&command_line[1..]).envs(variables.iter().cloned()).current_dir(work);
        let error = command.status().expect_err("this cannot be started");
        start.explain(&error, &program)
    }

    #[test]
    fn what_can_never_start_is_fatal_and_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str, mode| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        script("crlf", "#!/bin/sh\r\nexit 0\r\n", 0o755);
        script("lost", "#! /no/such/python -u\nexit 0\n", 0o755);
        script("plain", "#!/bin/sh\nexit 0\n", 0o644);
        fs::create_dir(dir.path().join("folder")).unwrap();
        let long = "x".repeat(LONGEST_STRING + 1);
        let variable = [("BIG".to_owned(), OsString::from(&long))];
        let many: Vec<(String, OsString)> = (0..80).map(|n| (format!("V{n}"), OsString::from(&long[2000..]))).collect();
        let none: &[(String, OsString)] = &[];
        for (argv, variables, said) in [
            (&["true", &long][..], none, "argument 1 is too long: it has 131072 bytes, and the limit is 131071"),
            (&["true"], &variable, "the variable `BIG` is too long: it has 131076 bytes"),
            (&["true"], &many, "bytes together, above the limit"),
            (&["./crlf"], none, "ends with a carriage return"),
            (&["./lost"], none, "there is no interpreter `/no/such/python`"),
            (&["./plain"], none, "may not be executed"),
            (&["./folder"], none, "it is a folder"),
            (&["./gone"], none, "there is no program `./gone`"),
            (&["no-such-program"], none, "there is no program `no-such-program`"),
        ] {
            if cfg!(not(target_os = "linux")) && said.contains("bytes") {
                continue;
            }
            let failure = failure(argv, variables, dir.path());
            assert!(
                failure.message.contains(said),
                "{said}: {}",
                failure.message.chars().take(300).collect::<String>()
            );
            assert_eq!(failure.kind, FailureKind::Fatal, "{said}");
            assert!(failure.message.len() < 500 && failure.hint.is_some(), "{said}");
        }
    }

    #[test]
    fn what_the_system_lacks_for_now_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let command_line = [OsString::from("true")];
        let start =
            Start { command_line: &command_line, variables: &[], work: dir.path(), project: Project(Path::new("")) };
        for errno in [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::TXTBSY] {
            let failure = start.explain(&errno.into(), Path::new("/bin/true"));
            assert_eq!(failure.kind, FailureKind::Retryable, "{errno:?}");
        }
    }
}
