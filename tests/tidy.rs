//! House rules that the compiler cannot check. Each failure names the file and line.

use std::fs;
use std::path::{Path, PathBuf};

const MAX_LINES: usize = 800;

/// Each module, and the modules that it may import.
const LAYERS: &[(&str, &[&str])] = &[
    ("core", &["core"]),
    ("store", &["store", "faults", "core"]),
    ("artifact", &["artifact", "faults", "core"]),
    ("config", &["config", "core"]),
    ("train", &["train", "core"]),
    ("steps", &["steps", "faults", "core", "artifact", "train"]),
    ("worker", &["worker", "faults", "core", "steps", "artifact"]),
    ("executors", &["executors", "faults", "core", "worker", "steps", "artifact"]),
    ("bench", &["bench", "core", "store", "steps", "train"]),
    ("engine", &["engine", "faults", "core", "store", "artifact", "executors", "worker", "steps"]),
];

/// Paths that may contain `unsafe`: kernels, the memory map, and code between fork and exec.
const UNSAFE_UNDER: [&str; 2] = ["src/train/ops/", "src/steps/command/parent_death.rs"];

struct Source {
    path: PathBuf,
    /// Excludes test modules.
    lines: Vec<String>,
    total_lines: usize,
}

impl Source {
    fn name(&self) -> String {
        self.path.to_string_lossy().replace('\\', "/")
    }

    fn is_test(&self) -> bool {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        stem.ends_with("tests")
            || stem.starts_with("fixture")
            || self.path.components().any(|part| part.as_os_str().to_string_lossy().ends_with("tests"))
    }

    fn module(&self) -> Option<String> {
        let mut parts = self.path.components().skip(1);
        let first = parts.next()?.as_os_str().to_string_lossy().into_owned();
        parts.next().map(|_| first)
    }
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(read(&path));
            }
        }
    }
    assert!(found.len() > 50, "the rules must see the sources");
    found
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    Source { path: path.to_owned(), lines: without_tests(&text), total_lines: text.lines().count() }
}

/// The lines of a file, with the lines of inline test modules emptied.
fn without_tests(text: &str) -> Vec<String> {
    let mut code: Vec<String> = Vec::new();
    // The line that ends the current test module.
    let mut end: Option<String> = None;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().map(|next| next.trim()).unwrap_or_default();
        if end.is_none() && line.trim() == "#[cfg(test)]" && next.starts_with("mod ") && next.ends_with('{') {
            end = Some(line.replace("#[cfg(test)]", "}"));
        }
        code.push(if end.is_none() { line.to_owned() } else { String::new() });
        if end.as_deref() == Some(line) {
            end = None;
        }
    }
    code
}

#[test]
fn only_test_modules_are_left_out() {
    let text = "#[cfg(test)]\nmod tests;\nfn a() {}\nmod inner {\n    #[cfg(test)]\n    mod tests {\n        fn b() {\n        }\n    }\n}\n#[cfg(test)]\nmod tests {\n}\nfn c() {}\n";
    let code: Vec<String> = without_tests(text);
    assert_eq!(code.len(), text.lines().count(), "lines keep their numbers");
    let left: Vec<&str> = code.iter().map(String::as_str).filter(|line| !line.is_empty()).collect();
    assert_eq!(left, ["#[cfg(test)]", "mod tests;", "fn a() {}", "mod inner {", "}", "fn c() {}"]);
}

/// Calls `broken` for each line of code without comments, and fails with all problems that it returns.
fn each_line(applies: impl Fn(&Source) -> bool, broken: impl Fn(&Source, &str) -> Option<String>) {
    each_line_and_comment(applies, |source, line| if line.starts_with("//") { None } else { broken(source, line) });
}

fn each_line_and_comment(applies: impl Fn(&Source) -> bool, broken: impl Fn(&Source, &str) -> Option<String>) {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test() && applies(source)) {
        for (index, line) in source.lines.iter().enumerate() {
            if let Some(problem) = broken(source, line.trim_start()) {
                problems.push(format!("{}:{}: {problem}", source.name(), index + 1));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn files_are_short() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|source| !source.is_test() && source.total_lines > MAX_LINES)
        .map(|source| format!("{} has {} lines", source.name(), source.total_lines))
        .collect();
    assert!(long.is_empty(), "a file is one idea, at most {MAX_LINES} lines: {long:?}");
}

#[test]
fn layers_import_only_what_is_below_them() {
    each_line(
        |_| true,
        |source, line| {
            let module = source.module()?;
            let (_, allowed) = LAYERS.iter().find(|(name, _)| *name == module)?;
            let imported = line.split("crate::").skip(1).map(|rest| {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                &rest[..end]
            });
            let modules = [
                "bench",
                "cli",
                "config",
                "core",
                "store",
                "artifact",
                "engine",
                "executors",
                "steps",
                "train",
                "worker",
                "faults",
            ];
            let wrong = imported.filter(|name| modules.contains(name)).find(|name| !allowed.contains(name))?;
            Some(format!("`{module}` must not import `{wrong}`"))
        },
    );
}

#[test]
fn libraries_stay_in_their_layer() {
    let homes: &[(&str, &str)] = &[("rusqlite", "store"), ("burn", "train"), ("clap", "cli"), ("indicatif", "cli")];
    each_line(
        |_| true,
        |source, line| {
            let module = source.module().unwrap_or_default();
            let (library, home) =
                homes.iter().find(|(library, home)| module != *home && line.contains(&format!("{library}::")))?;
            Some(format!("`{library}` may be used in `{home}` only"))
        },
    );
}

#[test]
fn core_is_pure() {
    let impure = ["std::fs", "std::net", "std::process", "std::thread", "SystemTime", "Instant::now", "Timestamp::now"];
    each_line(
        |source| source.module().as_deref() == Some("core"),
        |_, line| impure.iter().find(|word| line.contains(**word)).map(|word| format!("`{word}` in pure code")),
    );
}

fn may_be_unsafe(source: &Source) -> bool {
    UNSAFE_UNDER.iter().any(|path| source.name().starts_with(path))
}

#[test]
fn unsafe_code_stays_where_it_is_audited() {
    each_line(
        |source| !may_be_unsafe(source),
        |_, line| {
            let found = line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl");
            found.then(|| format!("`unsafe` outside of {UNSAFE_UNDER:?}"))
        },
    );
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| may_be_unsafe(source)) {
        for (index, line) in source.lines.iter().enumerate() {
            let block = line.contains("unsafe {") || line.contains("unsafe impl");
            if !block || line.trim_start().starts_with("//") {
                continue;
            }
            let from = index.saturating_sub(8);
            if !source.lines[from..=index].iter().any(|line| line.contains("SAFETY")) {
                problems.push(format!("{}:{}: no SAFETY line", source.name(), index + 1));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn nothing_panics_without_a_stated_invariant() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (index, line) in source.lines.iter().enumerate() {
            let code = line.trim_start();
            let bare = code.contains(".unwrap()") || code.contains("todo!(") || code.contains("unimplemented!(");
            // `expect` needs a text that states why it cannot fail.
            let expect_without_reason = code.contains(".expect(\"\")");
            if !code.starts_with("//") && (bare || expect_without_reason) {
                problems.push(format!("{}:{}: {code}", source.name(), index + 1));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn mod_files_only_re_export() {
    each_line(
        |source| {
            source.path.file_name().is_some_and(|name| name == "mod.rs") && source.module().as_deref() != Some("cli")
        },
        |_, line| {
            (line.starts_with("fn ") || line.starts_with("pub fn ") || line.starts_with("impl "))
                .then(|| "logic in mod.rs".to_owned())
        },
    );
}

#[test]
fn every_failpoint_is_listed_and_placed_once() {
    let list = fs::read_to_string("src/faults.rs").unwrap();
    let list = list.split("OPERATIONS: &[&str] = &[").nth(1).and_then(|rest| rest.split("];").next()).unwrap();
    let listed: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    let texts: Vec<String> = sources()
        .iter()
        .filter(|source| source.name() != "src/faults.rs")
        .map(|source| source.lines.join("\n"))
        .collect();
    let mut placed: Vec<&str> = Vec::new();
    for text in &texts {
        placed.extend(
            text.split("around!(").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next()),
        );
    }
    placed.sort_unstable();
    assert_eq!(placed, listed, "the list in src/faults.rs is sorted and has each name in the sources once");
    assert!(listed.len() > 40);
}

/// Modules whose writes need failpoints, and the calls that need one near by.
const FAULTY: &[&str] = &["store", "artifact", "engine", "executors", "worker"];
const CHANGES: &[&str] = &[".sync_all()", "fs::rename(", "fs::copy(", "fs::write(", ".spawn()", "transaction.commit()"];
/// Scratch databases, the alert command, and logs: nothing durable depends on them.
const NOTHING_DURABLE: &[&str] = &[
    "src/store/rebuild.rs",
    "src/store/floor.rs",
    "src/engine/judge.rs",
    "src/engine/crash_loop.rs",
    "src/executors/log_cap.rs",
];

#[test]
fn every_write_has_a_failpoint() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test() && !NOTHING_DURABLE.contains(&&*source.name())) {
        let module = source.module().unwrap_or_default();
        for (index, line) in source.lines.iter().enumerate() {
            let changes = CHANGES.iter().any(|call| line.contains(call)) && !line.trim_start().starts_with("//");
            let near = source.lines[index.saturating_sub(4)..source.lines.len().min(index + 5)].join("\n");
            if FAULTY.contains(&&*module) && changes && !near.contains("around!(") {
                problems.push(format!("{}:{}: {}", source.name(), index + 1, line.trim()));
            }
        }
    }
    assert!(problems.is_empty(), "put `around!` of src/faults.rs around it:\n{}", problems.join("\n"));
}

#[cfg(not(feature = "failpoints"))]
#[test]
fn a_normal_build_has_no_trace_of_failpoints() {
    let binary = fs::read(env!("CARGO_BIN_EXE_stepwell")).unwrap();
    for trace in ["FAILPOINTS", "STEPWELL_FAULTS_RECORD", "store.commit.before", "artifact.rename"] {
        let found = binary.windows(trace.len()).any(|window| window == trace.as_bytes());
        assert!(!found, "`{trace}` is in the program");
    }
}

#[test]
fn no_left_overs() {
    each_line_and_comment(|_| true, |_, line| left_over(line).map(|word| format!("`{word}`")));
    assert_eq!(left_over("// TODO: later"), Some("TODO"));
    assert_eq!(left_over("#[allow(dead_code)]"), Some("#[allow("));
}

fn left_over(line: &str) -> Option<&'static str> {
    ["TODO", "FIXME", "XXX", "dbg!(", "#[allow("].into_iter().find(|word| line.contains(word))
}

/// Files that may write to the streams of the process: the output of the command line, the log of an attempt, the
/// message of an aborting process, and the protocol of a benchmark contestant.
const WRITES: [&str; 5] = [
    "src/cli/output/streams.rs",
    "src/worker/exec.rs",
    "src/store/writer.rs",
    "src/faults.rs",
    "src/bench/contest/host.rs",
];

/// `[lints]` forbids the print macros, which panic when the reader is gone.
#[test]
fn one_type_owns_the_streams() {
    each_line(
        |source| !WRITES.contains(&&*source.name()),
        |_, line| {
            let stream = ["io::stdout()", "io::stderr()"].into_iter().find(|stream| line.contains(*stream))?;
            (!line.contains(".is_terminal()")).then(|| format!("`{stream}` outside of `cli::output`"))
        },
    );
}
