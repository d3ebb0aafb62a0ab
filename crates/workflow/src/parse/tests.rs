use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{NoLibrary, pinned, workflow};
use crate::catalog::{Catalog, Given, Gives, KindInfo, Placement};
use crate::diagnostic::SpecErrors;
use crate::key::spec_digest;
use crate::spec::{NonRetryable, RetryPolicy, Timeouts, WorkflowSpec};
use stepwell_base::failure::FailureKind;

const GOOD: &str = r#"
name = "pretrain"
description = "Text to model"

[params]
model = "tiny"
vocab_size = 4_096
lr = 1e-3
mixed = true
phases = ["a", "b"]
optimizer = { name = "adamw", lr = 0.1, nested = { warm_up = 10 } }

[[step]]
id = "b"
kind = "noop"
with.values = { vocab = "{{ params.vocab_size }}" }

[[step]]
id = "a"
kind = "noop"
needs = ["b"]
for_each = "params.phases"
when = "params.mixed"
retry = { initial_interval = "2s", backoff_coefficient = 1.5, maximum_interval = "1m", maximum_attempts = 5 }
timeout = { start_to_close = "1h30m", heartbeat = 45 }
"#;

fn catalog() -> Catalog {
    let schema = json!({ "type": "object", "properties": { "values": true }, "additionalProperties": false });
    let gives = Gives { outputs: Given::NOTHING, values: Given::Any };
    let noop = KindInfo { kind: "noop", summary: "nothing", placement: Placement::InProcess, schema, gives };
    Catalog { kinds: vec![noop], ..Catalog::default() }
}

fn parse(source: &str, overrides: &[(&str, &str)]) -> Result<WorkflowSpec, SpecErrors> {
    let overrides: Vec<_> = overrides.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    workflow(source, "w.toml", &overrides, &catalog(), &NoLibrary)
}

#[test]
fn a_good_file_becomes_a_spec() {
    let spec = parse(GOOD, &[]).expect("a good file");
    assert_eq!((spec.name.as_str(), spec.description.as_str()), ("pretrain", "Text to model"));
    assert_eq!(spec.params["vocab_size"], json!(4096));
    assert_eq!(spec.params["optimizer"]["nested"]["warm_up"], json!(10));
    let ids: Vec<&str> = spec.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["b", "a"], "definition order");
    let (b, a) = (&spec.steps[0], &spec.steps[1]);
    assert_eq!(Value::Object(b.with.clone()), json!({ "values": { "vocab": "{{ params.vocab_size }}" } }));
    assert_eq!((&b.retry, &b.timeout), (&RetryPolicy::default(), &Timeouts::default()));
    assert_eq!((a.for_each.as_deref(), a.when.as_deref()), (Some("params.phases"), Some("params.mixed")));
    assert_eq!(
        a.retry,
        RetryPolicy {
            initial_interval: Duration::from_secs(2),
            backoff_coefficient: 1.5,
            maximum_interval: Duration::from_secs(60),
            maximum_attempts: 5,
            non_retryable: Vec::new(),
        }
    );
    let timeout = Timeouts {
        start_to_close: Some(Duration::from_secs(5400)),
        schedule_to_close: None,
        heartbeat: Duration::from_secs(45),
    };
    assert_eq!(a.timeout, timeout);
}

#[test]
fn line_ends_of_other_systems_make_no_other_workflow() {
    let text = format!("{GOOD}[[step]]\nid = \"c\"\nkind = \"noop\"\nwith.values.x = \"\"\"\nset -e\necho\n\"\"\"\n");
    let spec = parse(&text, &[]).expect("a good file");
    assert_eq!(spec.steps[2].with["values"]["x"], "set -e\necho\n");
    let windows = parse(&text.replace('\n', "\r\n"), &[]).expect("the same with CR LF");
    assert_eq!(spec_digest(&windows), spec_digest(&spec));
    let escaped = parse(&text.replace("echo", "echo\\r"), &[]).expect("an escape is meant");
    assert_eq!(escaped.steps[2].with["values"]["x"], "set -e\necho\r\n");
    let errors = parse(&text.replace("set -e\n", "set -e\r"), &[]).expect_err("a lone CR is no line end of TOML");
    assert!(errors.problems()[0].message().contains("carriage return"), "{}", errors.problems()[0].message());
}

#[test]
fn overrides_keep_the_type_of_the_default() {
    for (key, text, pointer, expected) in [
        ("model", "deep60", "/model", json!("deep60")),
        ("model", "60", "/model", json!("60")),
        ("model", "1e5", "/model", json!("1e5")),
        ("model", "\"quoted\"", "/model", json!("quoted")),
        ("model", "", "/model", json!("")),
        ("model", "a = b # c", "/model", json!("a = b # c")),
        ("vocab_size", "512", "/vocab_size", json!(512)),
        ("vocab_size", "0x200", "/vocab_size", json!(512)),
        ("vocab_size", "1e3", "/vocab_size", json!(1000)),
        ("lr", "0.5", "/lr", json!(0.5)),
        ("lr", "1", "/lr", json!(1.0)),
        ("mixed", "false", "/mixed", json!(false)),
        ("mixed", "False", "/mixed", json!(false)),
        ("phases", "[1, 2]", "/phases", json!([1, 2])),
        ("phases", r#"[{"name":"a","steps":[1,2.5]}]"#, "/phases", json!([{ "name": "a", "steps": [1, 2.5] }])),
        ("optimizer", r#"{"lr": 0.5}"#, "/optimizer/lr", json!(0.5)),
        ("optimizer.lr", "2", "/optimizer/lr", json!(2.0)),
        ("optimizer.nested.warm_up", "3", "/optimizer/nested/warm_up", json!(3)),
        ("optimizer", "{ lr = 0.5 }", "/optimizer/lr", json!(0.5)),
        ("optimizer", "{ lr = 0.5 }", "/optimizer/name", json!("adamw")),
    ] {
        let spec = parse(GOOD, &[(key, text)]).unwrap_or_else(|errors| panic!("{key}={text}: {:?}", errors.problems()));
        assert_eq!(Value::Object(spec.params).pointer(pointer), Some(&expected), "{key}={text}");
    }
    let last = parse(GOOD, &[("vocab_size", "1"), ("vocab_size", "2")]).expect("both are fine");
    assert_eq!(last.params["vocab_size"], json!(2), "the last one wins");
}

#[test]
fn a_list_without_brackets_is_answered_with_the_list() {
    let text = "name = \"w\"\n[params]\nseeds = [1, 2]\n[[step]]\nid = \"a\"\nkind = \"noop\"\n";
    for (given, meant) in [
        ("4,5", "-S 'seeds=[4, 5]'"),
        ("4", "-S 'seeds=[4]'"),
        ("4 , 5,", "-S 'seeds=[4, 5]'"),
        ("(1e-3, a)", "-S 'seeds=[0.001, \"a\"]'"),
    ] {
        let errors = parse(text, &[("seeds", given)]).expect_err(given);
        let hint = errors.problems()[0].hint_text().unwrap();
        assert!(hint.ends_with(&format!("did you mean {meant}?")), "{given}: {hint}");
    }
}

#[test]
fn broken_overrides_are_all_reported() {
    for (key, text, message, hint) in [
        ("modle", "x", "unknown param `modle`", "did you mean -S model=x?"),
        ("zzz", "x", "unknown param `zzz`", "known params: `lr`, `mixed`, `model`"),
        ("optimizer.rl", "1", "unknown param `optimizer.rl`", "known keys of `optimizer`"),
        ("optimizer", "{ x = 1 }", "unknown param `optimizer.x`", "known keys of `optimizer`"),
        ("model.x", "1", "unknown param `model.x`", "set it with `-S model=...`"),
        ("vocab_size", "many", "param `vocab_size` must be an integer, but \"many\" is text", "keeps the type"),
        ("vocab_size", "1.5", "param `vocab_size` must be an integer, but 1.5 is a fraction", "keeps the type"),
        ("lr", "high", "param `lr` must be a number", "keeps the type"),
        ("mixed", "1", "param `mixed` must be true or false, but 1 is an integer", "keeps the type"),
        ("phases", "a", "param `phases` must be a list", "keeps the type"),
        ("phases", "a", "param `phases` must be a list", "did you mean -S 'phases=[\"a\"]'?"),
        ("phases", "4,5", "param `phases` must be a list", "did you mean -S 'phases=[\"4\", \"5\"]'?"),
        ("vocab_size", "1e300", "param `vocab_size` must be an integer", "keeps the type"),
        ("optimizer", "{ name = 3 }", "param `optimizer.name` must be text, but 3 is an integer", "keeps the type"),
        ("optimizer", "adam", "param `optimizer` must be a table", "keeps the type"),
    ] {
        let errors = parse(GOOD, &[(key, text), ("other", "1")]).expect_err(key);
        let [first, second] = errors.problems() else { panic!("{key}={text}: {:?}", errors.problems()) };
        assert!(first.message().contains(message), "{key}={text}: {}", first.message());
        assert!(first.hint_text().is_some_and(|found| found.contains(hint)), "{key}={text}: {:?}", first.hint_text());
        assert_eq!((first.position(), second.message().contains("`other`")), (None, true));
    }
}

#[test]
fn limits_of_steps_and_workflows_are_read_and_checked() {
    let step = "[[step]]\nid = \"a\"\nkind = \"noop\"\n";
    let good = format!(
        "name = \"w\"\n[budget]\nmaximum_compute = \"10h\"\ncost_per_hour = 2.5\nmaximum_cost = 30\n\
         [sla]\nfinish_within = \"8h\"\n{step}\
         resources = {{ gpu = 1, memory = \"8GiB\" }}\npriority = -3\nrate_limit = \"api\"\n"
    );
    let spec = parse(&good, &[]).expect("a good file");
    assert_eq!(spec.budget.cap(), Some(Duration::from_secs(36_000)));
    assert_eq!(spec.sla.map(|sla| sla.finish_within), Some(Duration::from_secs(28_800)));
    let [a] = spec.steps.as_slice() else { panic!("one step") };
    assert_eq!((a.resources["gpu"], a.resources["memory"], a.priority), (1, 8 << 30, -3));
    assert_eq!(a.rate_limit.as_deref(), Some("api"));
    for (top, in_step, line, said) in [
        ("", "resources = { gpu = 0 }", 5, "`resources.gpu` must be a whole number of at least 1"),
        ("", "resources = { memory = \"much\" }", 5, "`resources.memory` must be"),
        ("", "priority = \"high\"", 5, "`priority` must be an integer"),
        ("", "rate_limit = 3", 5, "`rate_limit` must be text"),
        ("[budget]\nmaximum_cost = 3\n", "", 3, "means nothing without `cost_per_hour`"),
        ("[budget]\nmaximum_compute = \"0s\"\n", "", 3, "must be longer than 0"),
        ("[budget]\ncap = 3\n", "", 3, "unknown key `cap` in [budget]"),
        ("[sla]\n", "", 2, "[sla] has no `finish_within`"),
    ] {
        let errors = parse(&format!("name = \"w\"\n{top}{step}{in_step}\n"), &[]).expect_err(said);
        let problem = &errors.problems()[0];
        assert!(problem.message().contains(said), "{}", problem.message());
        assert_eq!(problem.position().map(|(line, _)| line), Some(line), "{said}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(source in "\\PC{0,200}") {
        let _ = parse(&source, &[("x", &source), (&source, "1")]);
    }

    #[test]
    fn text_near_a_workflow_never_panics(
        cut in 0usize..GOOD.len(), length in 0usize..20, insert in "[\\[\\]{}\"'=.,a-z0-9\n é]{0,12}",
    ) {
        let source = format!("{}{insert}{}", &GOOD[..cut], &GOOD[(cut + length).min(GOOD.len())..]);
        if let Err(errors) = parse(&source, &[]) {
            let report = errors.render(crate::diagnostic::Color::Plain, 80);
            prop_assert!(errors.problems().iter().all(|problem| !problem.message().is_empty()), "{}", report);
        }
    }
}

const POLICIES: &str = r#"
name = "w"
[params]
n = 3
[[step]]
id = "a"
kind = "noop"
with.values = { n = "{{ params.n }}" }
retry = { non_retryable = ["timeout", 64] }
timeout = { schedule_to_close = "2h" }
"#;

#[test]
fn policies_name_failures_that_are_not_tried_again() {
    let spec = parse(POLICIES, &[]).expect("a good file");
    let rules = [NonRetryable::Kind(FailureKind::Timeout), NonRetryable::ExitCode(64)];
    assert_eq!(spec.steps[0].retry.non_retryable, rules);
    assert_eq!(spec.steps[0].timeout.schedule_to_close, Some(Duration::from_secs(7200)));
    let stored: WorkflowSpec = serde_json::from_value(serde_json::to_value(&spec).unwrap()).unwrap();
    assert_eq!(stored, spec);
    for (wrong, message) in
        [("[\"tmeout\"]", "unknown kind of failure `tmeout`"), ("[0]", "exit codes"), ("[true]", "exit codes")]
    {
        let errors = parse(&POLICIES.replace("[\"timeout\", 64]", wrong), &[]).unwrap_err();
        assert!(errors.problems()[0].message().contains(message), "{errors:?}");
    }
}

#[test]
fn a_pinned_workflow_takes_other_params_under_the_same_checks() {
    let spec = parse(GOOD, &[]).expect("a good file");
    let change = |set: &[(&str, &str)]| {
        let set: Vec<_> = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        pinned(spec.clone(), "run w", &set, &catalog())
    };
    assert_eq!(change(&[]).unwrap(), spec);
    assert_eq!(change(&[("vocab_size", "8")]).unwrap(), parse(GOOD, &[("vocab_size", "8")]).unwrap());
    for wrong in [("vocab", "8"), ("vocab_size", "many"), ("optimizer.nested.x", "1")] {
        let messages = |errors: SpecErrors| errors.problems().iter().map(ToString::to_string).collect::<Vec<_>>();
        let expected = messages(parse(GOOD, &[wrong]).unwrap_err());
        assert_eq!(messages(change(&[wrong]).unwrap_err()), expected);
    }
    let mut broken = spec.clone();
    broken.params.remove("vocab_size");
    let errors = pinned(broken, "run w", &[], &catalog()).unwrap_err();
    assert_eq!(errors.problems()[0].position(), Some((2, 1)), "the line of the step");
}

#[test]
fn a_step_takes_everything_along_that_needs_it_at_any_distance() {
    let step = |id: &str, needs: &str| format!("[[step]]\nid = \"{id}\"\nkind = \"noop\"\nneeds = [{needs}]\n");
    let steps = [
        step("e", "\"d\""),
        step("a", ""),
        step("b", "\"a\""),
        step("c", "\"b\""),
        step("d", "\"c\""),
        step("x", "\"a\""),
    ];
    let spec = parse(&format!("name = \"w\"\n{}", steps.concat()), &[]).expect("a good file");
    assert_eq!(spec.with_descendants(&"b".into()), ["e", "b", "c", "d"].map(Into::into));
}

const PHASES: &str = "name = \"w\"\n[params]\nsteps = 5\nlearning_rate = 0.1\nempty = []\nnames = [\"a\"]\n\
    phases = [{ name = \"main\", steps = 3 }, { name = \"long one\", steps = 4 }]\n[[step]]\nid = \"a\"\nkind = \"noop\"\n";

#[test]
fn an_override_reaches_into_a_list_of_named_tables() {
    for (key, text, phases) in [
        ("phases.main.steps", "300", json!([{ "name": "main", "steps": 300 }, { "name": "long one", "steps": 4 }])),
        ("phases.long one.steps", "1", json!([{ "name": "main", "steps": 3 }, { "name": "long one", "steps": 1 }])),
        (
            "phases.main.context",
            "64",
            json!([{ "name": "main", "steps": 3, "context": 64 }, { "name": "long one", "steps": 4 }]),
        ),
        (
            "phases.main.kind",
            "wsd",
            json!([{ "name": "main", "steps": 3, "kind": "wsd" }, { "name": "long one", "steps": 4 }]),
        ),
        ("phases.main", "{ steps = 9 }", json!([{ "name": "main", "steps": 9 }, { "name": "long one", "steps": 4 }])),
        ("phases", "[]", json!([])),
    ] {
        let spec = parse(PHASES, &[(key, text)]).unwrap_or_else(|errors| panic!("{key}: {:?}", errors.problems()));
        assert_eq!(spec.params["phases"], phases, "{key}={text}");
    }
    for (key, message, hint) in [
        ("phases.mian.steps", "unknown param `phases.mian.steps`", "did you mean `main`?"),
        ("phases.warm.steps", "unknown param `phases.warm.steps`", "known names in `phases`: `main`, `long one`"),
        ("phases.main.setps", "unknown param `phases.main.setps`", "did you mean `phases.main.steps`?"),
        ("empty.main.steps", "unknown param `empty.main.steps`", "`empty` is an empty list; did you mean -S steps=1?"),
        ("empty.main.other", "unknown param", "`empty` is an empty list: set it as a whole with `-S empty=...`"),
        ("names.a.steps", "unknown param", "`names` is a list: set it with `-S names=...`"),
        ("lr", "unknown param `lr`", "did you mean -S learning_rate=1?"),
        ("max_iters", "unknown param `max_iters`", "did you mean -S steps=1?"),
        ("epochs", "unknown param `epochs`", "there are no epochs, `steps` counts optimizer steps: -S steps=..."),
        ("phases.main.steps.x", "unknown param", "`phases.main.steps` is an integer"),
    ] {
        let errors = parse(PHASES, &[(key, "1")]).expect_err(key);
        let [problem] = errors.problems() else { panic!("{key}: {:?}", errors.problems()) };
        assert!(problem.message().contains(message), "{key}: {}", problem.message());
        assert!(problem.hint_text().is_some_and(|found| found.contains(hint)), "{key}: {:?}", problem.hint_text());
    }
    let without = PHASES.replace("steps = 5\n", "");
    let errors = parse(&without, &[("steps", "7")]).expect_err("a part of a param");
    let hint = errors.problems()[0].hint_text().unwrap_or_default().to_owned();
    assert_eq!(hint, "`phases` has `steps` for each of `main`, `long one`: -S phases.main.steps=7");
}

#[test]
fn a_workflow_knows_the_defaults_that_were_replaced() {
    let defaults = |spec: &WorkflowSpec| serde_json::to_value(&spec.defaults).unwrap();
    let spec = parse(GOOD, &[]).unwrap();
    assert_eq!(defaults(&spec), json!({}));
    let set = |spec: WorkflowSpec, name: &str, value: &str| {
        pinned(spec, "run w", &[(name.to_owned(), value.to_owned())], &catalog()).unwrap()
    };
    let spec = parse(GOOD, &[("vocab_size", "8"), ("mixed", "true"), ("optimizer.lr", "0.5")]).unwrap();
    let optimizer = json!({ "name": "adamw", "lr": 0.1, "nested": { "warm_up": 10 } });
    assert_eq!(defaults(&spec), json!({ "vocab_size": 4096, "optimizer": optimizer }));
    let again = set(spec.clone(), "vocab_size", "16");
    assert_eq!(defaults(&again), defaults(&spec), "the default is that of the file");
    assert_eq!(defaults(&set(again, "vocab_size", "4096")), json!({ "optimizer": optimizer }));
    let old = WorkflowSpec { defaults: None, ..spec };
    assert!(serde_json::to_value(&old).unwrap().get("defaults").is_none(), "an old workflow keeps its digest");
    assert_eq!(set(old, "vocab_size", "16").defaults, None);
}
