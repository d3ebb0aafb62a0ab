//! What a launcher is told: the program, its environment, its directory and its log.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// One program to become.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Job {
    /// Program and arguments.
    pub command_line: Vec<OsString>,
    /// On top of the launcher's own environment.
    pub variables: Vec<(String, OsString)>,
    pub directory: PathBuf,
    /// Standard output and standard error are appended to it.
    pub log: PathBuf,
}

impl Job {
    /// Fields that each end with a zero byte, which no argument, variable or path can hold.
    ///
    /// # Errors
    /// When one of them does.
    pub(super) fn encode(&self) -> io::Result<Vec<u8>> {
        let count = OsString::from(self.command_line.len().to_string());
        let mut fields: Vec<&OsStr> = vec![self.directory.as_os_str(), self.log.as_os_str(), &count];
        fields.extend(self.command_line.iter().map(OsString::as_os_str));
        for (name, value) in &self.variables {
            fields.extend([OsStr::new(name), value]);
        }
        let mut bytes = Vec::new();
        for field in fields {
            if field.as_bytes().contains(&0) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "an argument or variable holds a zero byte"));
            }
            bytes.extend_from_slice(field.as_bytes());
            bytes.push(0);
        }
        Ok(bytes)
    }

    /// `None` for anything but a whole job.
    pub(super) fn decode(bytes: &[u8]) -> Option<Job> {
        let mut fields =
            bytes.strip_suffix(&[0])?.split(|byte| *byte == 0).map(|field| OsString::from_vec(field.to_vec()));
        let (directory, log) = (PathBuf::from(fields.next()?), PathBuf::from(fields.next()?));
        let count: usize = fields.next()?.to_str()?.parse().ok()?;
        let command_line: Vec<OsString> = fields.by_ref().take(count).collect();
        let mut variables = Vec::new();
        while let Some(name) = fields.next() {
            variables.push((name.into_string().ok()?, fields.next()?));
        }
        (command_line.len() == count).then_some(Job { command_line, variables, directory, log })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job {
            command_line: ["/bin/sh", "-c", "", "a\nb"].map(OsString::from).to_vec(),
            variables: vec![("A".to_owned(), "".into()), ("B".to_owned(), OsString::from_vec(vec![0xff, b'=']))],
            directory: "work".into(),
            log: "/x/attempt-1.log".into(),
        }
    }

    #[test]
    fn a_job_comes_out_as_it_went_in() {
        assert_eq!(Job::decode(&job().encode().unwrap()), Some(job()));
    }

    #[test]
    fn half_a_job_is_none() {
        let whole = job().encode().unwrap();
        for length in 0..whole.len() {
            assert_ne!(Job::decode(&whole[..length]), Some(job()), "{length}");
        }
        assert_eq!(Job::decode(b""), None);
    }

    #[test]
    fn a_zero_byte_is_refused() {
        let bad = Job { command_line: vec!["a\0b".into()], ..job() };
        assert!(bad.encode().is_err());
    }
}
