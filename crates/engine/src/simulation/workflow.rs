//! Generates random workflow files as a person would write them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use stepwell_base::rng::Rng;
use stepwell_steps::catalog;
use stepwell_workflow::catalog::Catalog;
use stepwell_workflow::parse::{self, Library, Source};
use stepwell_workflow::spec::WorkflowSpec;

/// Number of devices in the pool `gpu`, and bytes in the pool `memory`.
pub(super) const GPUS: u64 = 2;
pub(super) const MEMORY: u64 = 8;

/// Arguments of a step that runs in a worker. The program never runs: a fake worker acts in its place.
const WORK: &str = "kind = \"command\"\nwith = { argv = [\"work\"], argv_files = false, cache = false }\n";

/// Child workflows by name: one that works, one that waits, and one that starts the first.
const CHILDREN: [(&str, &str); 3] = [
    (
        "plain.toml",
        "name = \"plain\"\n[params]\nn = 1\n[[step]]\nid = \"work\"\nkind = \"command\"\n\
         with = { argv = [\"work\", \"{{ params.n }}\"], argv_files = false, cache = false }\n\
         retry = { maximum_attempts = 2 }\n\
         [[step]]\nid = \"value\"\nkind = \"noop\"\nneeds = [\"work\"]\nwith.values.n = \"{{ params.n * 2 }}\"\n\
         [outputs]\nn = \"{{ steps.value.values.n }}\"\n",
    ),
    (
        "asking.toml",
        "name = \"asking\"\n[params]\nn = 1\n[[step]]\nid = \"ask\"\nkind = \"approval\"\nwith.prompt = \"go on?\"\n\
         [[step]]\nid = \"value\"\nkind = \"noop\"\nneeds = [\"ask\"]\nwith.values.n = \"{{ params.n }}\"\n\
         [outputs]\nn = \"{{ steps.value.values.n }}\"\n",
    ),
    (
        "nested.toml",
        "name = \"nested\"\n[params]\nn = 1\n[[step]]\nid = \"below\"\nkind = \"workflow\"\n\
         with = { workflow = \"plain.toml\", params = { n = \"{{ params.n }}\" } }\n\
         [outputs]\nn = \"{{ steps.below.values.n }}\"\n",
    ),
];

struct Shelf;

impl Library for Shelf {
    fn find(&self, workflow: &str, _from: &str) -> Result<Source, String> {
        let found = CHILDREN.iter().find(|(name, _)| *name == workflow);
        let (origin, text) = found.ok_or_else(|| format!("there is no workflow `{workflow}`"))?;
        Ok(Source { origin: (*origin).to_owned(), text: (*text).to_owned(), folder: PathBuf::new() })
    }

    fn inside(&self, _workflow: &str) -> &dyn Library {
        self
    }
}

pub(super) fn parse(text: &str) -> WorkflowSpec {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    match parse::workflow(text, "simulated.toml", &[], CATALOG.get_or_init(catalog), &Shelf) {
        Ok(spec) => spec,
        Err(errors) => panic!("the simulator wrote a workflow that is refused: {errors:?}\n{text}"),
    }
}

/// A workflow whose one step asks for everything in every pool.
pub(super) fn whole_machine() -> String {
    format!("name = \"whole\"\n[[step]]\nid = \"all\"\n{WORK}resources = {{ gpu = {GPUS}, memory = {MEMORY} }}\n")
}

/// A workflow for a schedule.
pub(super) fn scheduled() -> String {
    format!("name = \"nightly\"\n[[step]]\nid = \"work\"\n{WORK}")
}

/// A workflow of 1 to 8 steps.
pub(super) fn random(rng: &mut Rng, name: &str) -> String {
    let mut text = format!("name = \"{name}\"\n");
    if one_in(rng, 8) {
        let _ = writeln!(text, "budget = {{ maximum_compute = \"{}s\" }}", 5 + rng.below(60));
    }
    if one_in(rng, 12) {
        let _ = writeln!(text, "sla = {{ finish_within = \"{}s\" }}", 10 + rng.below(300));
    }
    let count = 1 + rng.below(8);
    for i in 0..count {
        let _ = write!(text, "[[step]]\nid = \"s{i}\"\n");
        let needs: Vec<String> = (0..i).filter(|_| one_in(rng, 2 + i / 2)).map(|need| format!("\"s{need}\"")).collect();
        step(rng, &mut text);
        let _ = writeln!(text, "needs = [{}]", needs.join(", "));
        if one_in(rng, 10) {
            let _ = writeln!(text, "when = \"{}\"", if one_in(rng, 2) { "true" } else { "false" });
        }
        if one_in(rng, 6) {
            let _ = writeln!(text, "priority = {}", rng.below(3));
        }
    }
    text
}

fn step(rng: &mut Rng, text: &mut String) {
    match rng.below(16) {
        0 => text.push_str("kind = \"noop\"\nwith.values.x = 1\n"),
        1 => text.push_str("kind = \"noop\"\nfor_each = \"range(3)\"\nwith.values.x = \"{{ item }}\"\n"),
        2 => {
            text.push_str("kind = \"approval\"\nwith.prompt = \"go on?\"\n");
            limit_wait(rng, text);
        }
        3 | 4 => {
            let _ = writeln!(text, "kind = \"signal\"\nwith.name = \"{}\"", signal_name(rng));
            limit_wait(rng, text);
        }
        5 => {
            let (loss, on_false) = (rng.below(2), ["fail", "continue", "ask"][index(rng, 3)]);
            let _ = writeln!(
                text,
                "kind = \"gate\"\nwith = {{ rule = \"loss < 1\", inputs = {{ loss = {loss} }}, on_false = \"{on_false}\" }}"
            );
        }
        6..=8 => {
            let child = CHILDREN[index(rng, CHILDREN.len())].0;
            let _ = writeln!(text, "kind = \"workflow\"");
            if one_in(rng, 3) {
                let _ = writeln!(text, "for_each = \"range(1, 3)\"");
                let _ = writeln!(text, "with = {{ workflow = \"{child}\", params = {{ n = \"{{{{ item }}}}\" }} }}");
            } else {
                let _ = writeln!(text, "with = {{ workflow = \"{child}\" }}");
            }
            if one_in(rng, 4) {
                limit_wait(rng, text);
            }
        }
        kind => {
            text.push_str(WORK);
            if kind == 9 {
                let _ = writeln!(text, "for_each = \"range({})\"", 1 + rng.below(4));
            }
            policies(rng, text);
        }
    }
}

fn policies(rng: &mut Rng, text: &mut String) {
    let first = 1 + rng.below(5);
    let _ = writeln!(
        text,
        "retry = {{ maximum_attempts = {}, initial_interval = \"{first}s\", maximum_interval = \"{}s\" }}",
        1 + rng.below(4),
        first + rng.below(10),
    );
    let mut timeout = vec![format!("heartbeat = \"{}s\"", [6, 12, 30][index(rng, 3)])];
    if one_in(rng, 4) {
        timeout.push(format!("start_to_close = \"{}s\"", 3 + rng.below(20)));
    }
    if one_in(rng, 6) {
        timeout.push(format!("schedule_to_close = \"{}s\"", 10 + rng.below(60)));
    }
    let _ = writeln!(text, "timeout = {{ {} }}", timeout.join(", "));
    match rng.below(6) {
        0 => drop(writeln!(text, "resources = {{ gpu = {} }}", 1 + rng.below(GPUS))),
        1 => drop(writeln!(text, "resources = {{ gpu = 1, memory = {} }}", 1 + rng.below(MEMORY))),
        2 => drop(writeln!(text, "resources = {{ memory = {} }}", 1 + rng.below(MEMORY))),
        3 => drop(writeln!(text, "rate_limit = \"api\"")),
        _ => {}
    }
}

fn limit_wait(rng: &mut Rng, text: &mut String) {
    if one_in(rng, 2) {
        let _ = writeln!(text, "timeout.schedule_to_close = \"{}s\"", 5 + rng.below(120));
    }
}

pub(super) fn signal_name(rng: &mut Rng) -> &'static str {
    ["go", "stop"][index(rng, 2)]
}

pub(super) fn one_in(rng: &mut Rng, count: u64) -> bool {
    rng.below(count) == 0
}

pub(super) fn index(rng: &mut Rng, count: usize) -> usize {
    rng.below(count as u64) as usize
}
