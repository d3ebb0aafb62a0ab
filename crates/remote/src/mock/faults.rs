//! What goes wrong: the file `faults` of the mock's folder.
//!
//! A line is `OPERATION FAULT NUMBER`. `fail`, `lost`, `error`, `refuse` and `ignore` happen NUMBER times; `lag`, `skew` and
//! `slow` last, with NUMBER milliseconds. OPERATION is `price`, `launch`, `list`, `status`, `terminate` or `any`.

use std::fs;
use std::io;
use std::path::Path;

const FILE: &str = "faults";

/// Faults that happen so many times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Nothing is done, and the answer is an error.
    Fail,
    /// It is done, and there is no answer.
    Lost,
    /// It is done, and the answer is an error.
    Error,
    /// Nothing is done, and the answer says why.
    Refuse,
    /// Nothing is done, and the answer is a success.
    Ignore,
}

impl Fault {
    fn parse(word: &str) -> Option<Fault> {
        Some(match word {
            "fail" => Fault::Fail,
            "lost" => Fault::Lost,
            "error" => Fault::Error,
            "refuse" => Fault::Refuse,
            "ignore" => Fault::Ignore,
            _ => return None,
        })
    }
}

/// The next fault of an operation, which is used up. The caller holds the lock of the folder.
pub(super) fn next(folder: &Path, operation: &str) -> io::Result<Option<Fault>> {
    let text = read(folder)?;
    let mut found = None;
    let mut left = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [of, word, number] = words[..]
            && let (Some(fault), Ok(times)) = (Fault::parse(word), number.parse::<u64>())
            && found.is_none()
            && times > 0
            && (of == operation || of == "any")
        {
            found = Some(fault);
            left.push_str(&format!("{of} {word} {}\n", times - 1));
        } else {
            left.push_str(line);
            left.push('\n');
        }
    }
    if found.is_some() {
        fs::write(folder.join(FILE), left)?;
    }
    Ok(found)
}

/// Milliseconds of a lasting fault; 0 without one.
pub(super) fn lasting(folder: &Path, operation: &str, fault: &str) -> io::Result<i64> {
    let text = read(folder)?;
    let of_line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [of, word, number] if word == fault && (of == operation || of == "any") => number.parse().ok(),
            _ => None,
        }
    };
    Ok(text.lines().find_map(of_line).unwrap_or(0))
}

fn read(folder: &Path) -> io::Result<String> {
    match fs::read_to_string(folder.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}
