//! Paths in source text: what `use` declarations import, and what code names in full.

use crate::text::is_word;

/// One name that a `use` declaration brings in.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    pub path: Vec<String>,
    /// `None` for `*` and `as _`.
    pub name: Option<String>,
    /// Offset of the declaration.
    pub at: usize,
}

/// All imports of a file; `bare` is its text without comments and strings.
pub fn imports(bare: &str) -> Vec<Import> {
    let mut found = Vec::new();
    for (start, end) in declarations(bare) {
        let mut names = Vec::new();
        expand(&[], &bare[start + 4..end], &mut names);
        found.extend(names.into_iter().map(|(path, name)| Import { path, name, at: start }));
    }
    found
}

/// Paths of two or more names outside of `use` declarations, with their offsets.
pub fn named_paths(bare: &str) -> Vec<(Vec<String>, usize)> {
    let mut text = bare.as_bytes().to_vec();
    for (start, end) in declarations(bare) {
        text[start..end].fill(b' ');
    }
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if !is_word(text[at]) {
            at += 1;
            continue;
        }
        let start = at;
        let mut path = Vec::new();
        loop {
            let end = (at..text.len()).find(|index| !is_word(text[*index])).unwrap_or(text.len());
            path.push(String::from_utf8_lossy(&text[at..end]).into_owned());
            at = end;
            if !(text[at..].starts_with(b"::") && text.get(at + 2).is_some_and(|byte| is_word(*byte))) {
                break;
            }
            at += 2;
        }
        let continued = start > 0 && matches!(text[start - 1], b':' | b'.' | b'\'');
        if path.len() > 1 && !continued {
            found.push((path, start));
        }
    }
    found
}

/// From each word `use` to its semicolon.
fn declarations(bare: &str) -> Vec<(usize, usize)> {
    let bytes = bare.as_bytes();
    let starts = bare.match_indices("use ").filter(|(at, _)| {
        let before = bare[..*at].trim_end();
        let word_before = before.ends_with("pub");
        word_before || before.is_empty() || before.ends_with([';', '{', '}', ']', ')'])
    });
    let alone = starts.filter(|(at, _)| *at == 0 || !is_word(bytes[at - 1]));
    alone.filter_map(|(at, _)| Some((at, at + bare[at..].find(';')?))).collect()
}

fn expand(prefix: &[String], tree: &str, found: &mut Vec<(Vec<String>, Option<String>)>) {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let mut path = prefix.to_vec();
        path.extend(names(&tree[..open]));
        for part in parts(tree[open + 1..].trim_end().strip_suffix('}').unwrap_or(&tree[open + 1..])) {
            expand(&path, part, found);
        }
        return;
    }
    let (tree, alias) = match tree.split_once(" as ") {
        Some((tree, alias)) => (tree, Some(alias.trim())),
        None => (tree, None),
    };
    let mut path = prefix.to_vec();
    path.extend(names(tree));
    let glob = path.last().is_some_and(|name| name == "*");
    let of_itself = path.len() > 1 && path.last().is_some_and(|name| name == "self");
    if glob || of_itself {
        path.pop();
    }
    let name = match alias {
        Some("_") => None,
        Some(alias) => Some(alias.to_owned()),
        None if glob => None,
        None => path.last().cloned(),
    };
    if !path.is_empty() {
        found.push((path, name));
    }
}

fn names(path: &str) -> impl Iterator<Item = String> {
    path.split("::").map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Splits at the commas outside of braces.
fn parts(list: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&list[start..]);
    found.retain(|part| !part.trim().is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::{imports, named_paths};

    #[test]
    fn imports_are_taken_apart() {
        let text = "pub use a::{self, b::{C as D, e}, f::*};\nuse super::G as _;\npub(crate) use crate::h::I;\nfn j() -> impl K + use<'_> { because.use_it() }";
        let found: Vec<(String, Option<String>)> =
            imports(text).into_iter().map(|import| (import.path.join("::"), import.name)).collect();
        let name = |name: &str| Some(name.to_owned());
        let expected = [
            ("a", name("a")),
            ("a::b::C", name("D")),
            ("a::b::e", name("e")),
            ("a::f", None),
            ("super::G", None),
            ("crate::h::I", name("I")),
        ];
        assert_eq!(found, expected.map(|(path, name)| (path.to_owned(), name)));
    }

    #[test]
    fn paths_in_code_are_found() {
        let text = "use a::b;\nfn c(d: super::e::F) -> g::H { crate::i::j::<K>(l.m, n::O { p }) }";
        let found: Vec<String> = named_paths(text).into_iter().map(|(path, _)| path.join("::")).collect();
        assert_eq!(found, ["super::e::F", "g::H", "crate::i::j", "n::O"]);
    }
}
