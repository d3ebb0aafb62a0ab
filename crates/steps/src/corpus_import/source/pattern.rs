//! Matches globs against files, and against folders that can hold a match.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use stepwell_base::failure::Failure;

/// A glob split by level, so that a search enters only folders that it names.
pub struct Pattern {
    whole: GlobMatcher,
    /// Folder at which the glob starts; empty for the directory of the process.
    start: PathBuf,
    /// Folder above every match.
    base: PathBuf,
    /// One pattern per folder level below `base`; the last one matches files.
    levels: Vec<Level>,
}

enum Level {
    Names(Box<GlobMatcher>),
    /// Any folder from this level down can hold a match.
    Everything,
}

impl Pattern {
    /// # Errors
    /// When the glob is invalid.
    pub fn compile(pattern: &str) -> Result<Self, Failure> {
        let parts = parts(pattern);
        let root = if pattern.starts_with('/') { "/" } else { "" };
        let whole = matcher(&format!("{root}{}", parts.join("/")), pattern)?;
        let literal = parts.iter().take_while(|part| !is_glob(part)).count();
        let mut levels = Vec::new();
        for part in &parts[literal..] {
            // Braces can contain `/`, so such a part spans levels.
            if part.contains("**") || part.contains('/') {
                levels.push(Level::Everything);
                break;
            }
            levels.push(Level::Names(Box::new(matcher(part, pattern)?)));
        }
        Ok(Pattern { whole, start: PathBuf::new(), base: literal_prefix(pattern), levels })
    }

    /// The same glob, started at another folder; an absolute one stays as it is.
    pub fn below(self, start: &Path) -> Self {
        Pattern { base: start.join(self.base), start: start.to_owned(), ..self }
    }

    pub fn base(&self) -> &Path {
        &self.base
    }

    pub fn matches(&self, path: &Path) -> bool {
        let path = path.strip_prefix(&self.start).unwrap_or(path);
        self.whole.is_match(path.strip_prefix("./").unwrap_or(path))
    }

    /// True if a match can be in the folder `name`, which lies `depth` levels below the base.
    pub fn enters(&self, name: &OsString, depth: usize) -> bool {
        match self.levels.get(depth) {
            Some(Level::Everything) => true,
            Some(Level::Names(names)) => depth + 1 < self.levels.len() && names.is_match(Path::new(name)),
            None => matches!(self.levels.last(), Some(Level::Everything)),
        }
    }
}

fn matcher(part: &str, pattern: &str) -> Result<GlobMatcher, Failure> {
    let glob = GlobBuilder::new(part).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| {
        Failure::fatal(format!("invalid glob {pattern}: {}", error.kind()))
            .with_hint("globs know `*`, `?`, `**`, `[a-z]` and `{a,b}`; a backslash takes the next character literally")
    })
}

pub fn is_glob(source: &str) -> bool {
    source.contains(['*', '?', '[', '{'])
}

fn literal_prefix(pattern: &str) -> PathBuf {
    let parts = Path::new(pattern).components();
    let literal: PathBuf = parts.take_while(|part| !is_glob(&part.as_os_str().to_string_lossy())).collect();
    if literal.as_os_str().is_empty() { PathBuf::from(".") } else { literal }
}

/// Splits a pattern at its slashes, except in braces or in a class.
fn parts(pattern: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut braces, mut class) = (0u32, false);
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '{' if !class => braces += 1,
            '}' if !class => braces = braces.saturating_sub(1),
            '[' => class = true,
            ']' => class = false,
            '/' if braces == 0 && !class => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
            if c == '\\' {
                part.extend(chars.next());
            }
        }
    }
    // Like a path, `a//b` or `./a` has no empty level.
    parts.retain(|part| !part.is_empty() && part != ".");
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_that_a_match_can_lie_in_are_entered() {
        for (pattern, name, depth, enters) in [
            ("l/*.txt", "sub", 0, false),
            ("l/s*/*.txt", "sub", 0, true),
            ("l/s*/*.txt", "other", 0, false),
            ("l/s*/*.txt", "deeper", 1, false),
            ("l/{a,sub}/?/x", "sub", 0, true),
            ("l/{a,sub}/?/x", "yz", 1, false),
            ("l/{a/b,c}/x", "a", 0, true),
            ("l/**/x", "any", 7, true),
            ("l/s*/**", "other", 0, false),
            ("l/s*/**", "any", 3, true),
        ] {
            let compiled = Pattern::compile(pattern).unwrap();
            assert_eq!(compiled.base(), Path::new("l"));
            assert_eq!(compiled.enters(&OsString::from(name), depth), enters, "{pattern} {name} {depth}");
        }
    }
}
