//! The modules of a crate, found by following `mod NAME;` from its root.

use std::collections::{BTreeMap, HashMap};

use crate::paths::{Import, imports};
use crate::source::Source;
use crate::text::{Text, is_test_attribute, is_word};

/// The modules of one crate. The first one is the root.
pub struct ModuleTree {
    pub modules: Vec<Module>,
}

/// A module with a file of its own.
pub struct Module {
    pub parent: Option<usize>,
    pub children: BTreeMap<String, usize>,
    /// Index of the source file.
    pub source: usize,
    pub imports: Vec<Import>,
}

/// Builds one tree for each crate root, and notes in each source whether a module names it and whether only tests do.
pub fn trees(sources: &mut [Source]) -> Vec<ModuleTree> {
    let by_path: HashMap<String, usize> =
        sources.iter().enumerate().map(|(index, source)| (source.path.clone(), index)).collect();
    let is_root = |source: &Source| {
        let parent = source.folder();
        (parent == "src" || parent.ends_with("/src") && parent.matches('/').count() == 2)
            && matches!(source.file_name(), "lib.rs" | "main.rs")
    };
    let roots: Vec<usize> = (0..sources.len()).filter(|index| is_root(&sources[*index])).collect();
    roots.into_iter().map(|root| tree(root, sources, &by_path)).collect()
}

fn tree(root: usize, sources: &mut [Source], by_path: &HashMap<String, usize>) -> ModuleTree {
    let mut modules: Vec<Module> = Vec::new();
    let only_tests = sources[root].whole.bare.contains("#![cfg(test)]");
    let mut waiting = vec![(None, String::new(), root, only_tests)];
    while let Some((parent, name, index, is_test)) = waiting.pop() {
        let module = modules.len();
        let source = &mut sources[index];
        source.is_reached = true;
        source.is_test = is_test;
        modules.push(Module { parent, children: BTreeMap::new(), source: index, imports: imports(&source.text.bare) });
        if let Some(parent) = parent {
            modules[parent].children.insert(name, module);
        }
        let folder = if source.is_contents() {
            source.folder().to_owned()
        } else {
            source.path.strip_suffix(".rs").unwrap_or_default().to_owned()
        };
        for declared in declared_modules(&source.whole) {
            let files = [format!("{folder}/{}.rs", declared.name), format!("{folder}/{}/mod.rs", declared.name)];
            if let Some(child) = files.iter().find_map(|file| by_path.get(file)) {
                waiting.push((Some(module), declared.name, *child, is_test || declared.is_test));
            }
        }
    }
    ModuleTree { modules }
}

struct Declared {
    name: String,
    is_test: bool,
}

/// Each `mod NAME;` of a file.
fn declared_modules(text: &Text) -> Vec<Declared> {
    let bytes = text.bare.as_bytes();
    let mut found = Vec::new();
    for (at, _) in text.bare.match_indices("mod ") {
        if at > 0 && is_word(bytes[at - 1]) {
            continue;
        }
        let rest = text.bare[at + 4..].trim_start();
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !name.is_empty() && rest[name.len()..].trim_start().starts_with(';') {
            found.push(Declared { name, is_test: attributes_before(&text.bare[..at]).any(is_test_attribute) });
        }
    }
    found
}

/// The attributes of the item that starts where `before` ends.
fn attributes_before(before: &str) -> impl Iterator<Item = &str> {
    let mut rest = before.trim_end();
    // Visibility.
    let words = rest.trim_end_matches(|c: char| c == ')' || c == '(' || is_word(c as u8) && c.is_ascii());
    if rest[words.len()..].starts_with("pub") {
        rest = words.trim_end();
    }
    std::iter::from_fn(move || {
        if !rest.ends_with(']') {
            return None;
        }
        let bytes = rest.as_bytes();
        let mut depth = 0_usize;
        let open = (0..bytes.len()).rev().find(|at| {
            match bytes[*at] {
                b']' => depth += 1,
                b'[' => depth -= 1,
                _ => {}
            }
            depth == 0
        })?;
        let start = rest[..open].strip_suffix('#')?.len();
        let attribute = &rest[start..];
        rest = rest[..start].trim_end();
        Some(attribute)
    })
}

impl ModuleTree {
    /// Files that define what `path`, written in `module`, leads to; empty for a path out of the crate. Follows re-exports.
    pub fn resolve(&self, module: usize, path: &[String]) -> Vec<usize> {
        let mut found = Vec::new();
        self.follow(module, path, 0, &mut found);
        found
    }

    fn follow(&self, module: usize, path: &[String], depth: usize, found: &mut Vec<usize>) {
        // A re-export that leads back to itself.
        if depth > 16 {
            return;
        }
        let Some(first) = path.first() else { return };
        match first.as_str() {
            "crate" => self.walk(0, &path[1..], depth, found),
            "self" => self.walk(module, &path[1..], depth, found),
            "super" => {
                let mut above = module;
                let levels = path.iter().take_while(|part| *part == "super").count();
                for _ in 0..levels {
                    above = self.modules[above].parent.unwrap_or(0);
                }
                self.walk(above, &path[levels..], depth, found);
            }
            name => {
                let module = &self.modules[module];
                if let Some(child) = module.children.get(name) {
                    self.walk(*child, &path[1..], depth, found);
                }
            }
        }
    }

    fn walk(&self, at: usize, path: &[String], depth: usize, found: &mut Vec<usize>) {
        let module = &self.modules[at];
        let Some(next) = path.first() else {
            found.push(module.source);
            return;
        };
        if let Some(child) = module.children.get(next) {
            return self.walk(*child, &path[1..], depth, found);
        }
        let named: Vec<&Import> = module.imports.iter().filter(|import| import.name.as_ref() == Some(next)).collect();
        for import in &named {
            let whole: Vec<String> = import.path.iter().chain(&path[1..]).cloned().collect();
            self.follow(at, &whole, depth + 1, found);
        }
        if named.is_empty() {
            found.push(module.source);
        }
    }

    /// Where `path` leads if its first name was imported into `module`.
    pub fn resolve_alias(&self, module: usize, path: &[String]) -> Vec<usize> {
        let mut found = Vec::new();
        for import in &self.modules[module].imports {
            if import.name.is_some() && import.name.as_ref() == path.first() {
                let whole: Vec<String> = import.path.iter().chain(&path[1..]).cloned().collect();
                self.follow(module, &whole, 0, &mut found);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use crate::House;

    const FILES: [(&str, &str); 5] = [
        ("crates/x/src/lib.rs", "mod a;\n#[cfg(test)]\n#[expect(z)]\npub(crate) mod checks;\npub use a::deep::Deep;\n"),
        ("crates/x/src/a/mod.rs", "pub mod deep;"),
        ("crates/x/src/a/deep.rs", "pub struct Deep;\n// mod lost;\n"),
        ("crates/x/src/checks.rs", "\"mod lost;\""),
        ("crates/x/src/lost.rs", ""),
    ];

    #[test]
    fn modules_are_found_from_the_root() {
        let house = House::of(FILES);
        let tests: Vec<&str> = house.sources.iter().filter(|it| it.is_test).map(|it| it.path.as_str()).collect();
        let lost: Vec<&str> = house.sources.iter().filter(|it| !it.is_reached).map(|it| it.path.as_str()).collect();
        assert_eq!(tests, ["crates/x/src/checks.rs"]);
        assert_eq!(lost, ["crates/x/src/lost.rs"]);
    }

    #[test]
    fn paths_lead_through_re_exports() {
        let house = House::of(FILES);
        let tree = &house.trees[0];
        let leads = |from: &str, path: &str| -> Vec<&str> {
            let of = |module: &super::Module| house.sources[module.source].path.ends_with(from);
            let module = tree.modules.iter().position(of).unwrap();
            let path: Vec<String> = path.split("::").map(str::to_owned).collect();
            tree.resolve(module, &path).iter().map(|source| house.sources[*source].path.as_str()).collect()
        };
        assert_eq!(leads("checks.rs", "crate::Deep"), ["crates/x/src/a/deep.rs"]);
        assert_eq!(leads("checks.rs", "super::a::deep::Deep::new"), ["crates/x/src/a/deep.rs"]);
        assert_eq!(leads("deep.rs", "super::super::Deep"), ["crates/x/src/a/deep.rs"]);
        assert_eq!(leads("mod.rs", "deep"), ["crates/x/src/a/deep.rs"]);
        assert!(leads("checks.rs", "std::fs").is_empty());
    }
}
