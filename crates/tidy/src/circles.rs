//! Circles of imports between the files of one crate.

use std::collections::{BTreeMap, BTreeSet};

use crate::Problems;
use crate::house::House;
use crate::module_tree::ModuleTree;
use crate::paths::named_paths;

/// A circle of at most this many files is one idea told in parts.
const MAX_CIRCLE: usize = 3;

/// Crates that have larger circles, with the size of the largest. The list and its numbers only shrink.
const ACCEPTED: &[(&str, usize)] = &[];

/// No file takes part in a circle of more than three files that import each other. Files that only re-export do not count:
/// what is imported through them counts for the file that defines it.
pub fn no_large_circles(house: &House) -> Problems {
    judge(house, ACCEPTED)
}

fn judge(house: &House, accepted: &[(&str, usize)]) -> Problems {
    let mut problems = Vec::new();
    let mut used = BTreeSet::new();
    for tree in &house.trees {
        let graph = graph(house, tree);
        for circle in circles(&graph).into_iter().filter(|circle| circle.len() > MAX_CIRCLE) {
            let member = house.sources[tree.modules[0].source].member.as_str();
            let exception = accepted.iter().find(|(name, _)| *name == member);
            used.extend(exception.map(|(name, _)| *name));
            if exception.is_none_or(|(_, size)| circle.len() > *size) {
                problems.push(describe(house, &graph, &circle));
            }
        }
    }
    let unused = accepted.iter().filter(|(name, _)| !used.contains(name));
    problems.extend(unused.map(|(name, _)| format!("{name}: no large circle left; remove it from ACCEPTED")));
    problems
}

fn describe(house: &House, graph: &Graph, circle: &BTreeSet<usize>) -> String {
    let lines = circle.iter().map(|source| {
        let to = graph[source].intersection(circle).map(|to| house.sources[*to].file_name());
        format!("  {} -> {}", house.sources[*source].path, to.collect::<Vec<_>>().join(" "))
    });
    format!("{} files import each other:\n{}", circle.len(), lines.collect::<Vec<_>>().join("\n"))
}

type Graph = BTreeMap<usize, BTreeSet<usize>>;

/// Each file with the files that it imports from.
fn graph(house: &House, tree: &ModuleTree) -> Graph {
    let mut graph = Graph::new();
    let counts = |source: usize| !house.sources[source].is_contents() && !house.sources[source].is_test;
    for (index, module) in tree.modules.iter().enumerate().filter(|(_, module)| counts(module.source)) {
        let imported = module.imports.iter().flat_map(|import| tree.resolve(index, &import.path));
        let paths = named_paths(&house.sources[module.source].text.bare);
        let named = paths.iter().flat_map(|(path, _)| {
            let mut files = tree.resolve(index, path);
            files.extend(tree.resolve_alias(index, path));
            files
        });
        let to: BTreeSet<usize> = imported.chain(named).filter(|to| counts(*to) && *to != module.source).collect();
        graph.entry(module.source).or_default().extend(to);
    }
    graph
}

/// Strongly connected files: from each of them an import leads to every other.
fn circles(graph: &Graph) -> Vec<BTreeSet<usize>> {
    let reached: BTreeMap<usize, BTreeSet<usize>> = graph.keys().map(|from| (*from, reachable(graph, *from))).collect();
    let mut found: Vec<BTreeSet<usize>> = Vec::new();
    for (from, to) in &reached {
        if found.iter().any(|circle| circle.contains(from)) {
            continue;
        }
        let circle: BTreeSet<usize> = to.iter().copied().filter(|other| reached[other].contains(from)).collect();
        if circle.len() > 1 {
            found.push(circle);
        }
    }
    found
}

fn reachable(graph: &Graph, from: usize) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(next) = waiting.pop() {
        for to in &graph[&next] {
            if seen.insert(*to) {
                waiting.push(*to);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::House;

    /// Four files in a circle, each by another way to name the next one.
    const CIRCLE: [(&str, &str); 6] = [
        ("crates/x/src/lib.rs", "mod a; mod b; mod c; mod deep; pub use d_name as unused;"),
        ("crates/x/src/a.rs", "use super::b;\nfn f() { b::g() }"),
        ("crates/x/src/b.rs", "fn g() { crate::c::h() }"),
        ("crates/x/src/c.rs", "use crate::deep::D;"),
        ("crates/x/src/deep/mod.rs", "mod d;\npub use d::D;"),
        ("crates/x/src/deep/d.rs", "use super::super::a::{f};\npub struct D;"),
    ];

    #[test]
    fn a_circle_of_four_is_found_through_re_exports() {
        let problems = judge(&House::of(CIRCLE), &[]);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("4 files import each other:\n  crates/x/src/a.rs -> b.rs\n"), "{problems:?}");
        assert!(problems[0].ends_with("  crates/x/src/deep/d.rs -> a.rs"), "{problems:?}");
    }

    #[test]
    fn a_chain_and_a_small_circle_are_fine() {
        let mut files = CIRCLE;
        files[5].1 =
            "use super::super::c::h;\npub struct D; // use crate::a\n#[cfg(test)]\nmod tests { use crate::a; }";
        assert!(judge(&House::of(files), &[]).is_empty());
    }

    #[test]
    fn an_exception_has_a_size_and_ends_with_its_circle() {
        let house = House::of(CIRCLE);
        assert!(judge(&house, &[("x", 4)]).is_empty());
        assert_eq!(judge(&house, &[("x", 3)]).len(), 1);
        let problems = judge(&house, &[("x", 4), ("y", 9)]);
        assert_eq!(problems, ["y: no large circle left; remove it from ACCEPTED"]);
    }
}
