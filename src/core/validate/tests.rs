//! Broken workflow files, each with the problems that must be reported: line, message, hint.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::core::artifact::ArtifactRef;
use crate::core::catalog::{Catalog, KindInfo, Placement};
use crate::core::diagnostic::{Color, SpecErrors};
use crate::core::parse::{NoLibrary, workflow};
use crate::core::spec::WorkflowSpec;
use crate::core::template::{is_filter, is_function, is_test};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Import {
    /// File, folder or glob.
    source: Source,
    #[serde(default)]
    split: Split,
    again: Option<Split>,
    documents: Option<u64>,
    rule: Option<Rule>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum Rule {
    Constant { value: f64 },
    Cosine { warm_up: u32, minimum: f64 },
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Source {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
enum Split {
    /// One document per file.
    #[default]
    File,
    /// One document per paragraph.
    Paragraph,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Train {
    tokens: Vec<ArtifactRef>,
    tokenizer: ArtifactRef,
    model: Model,
    #[serde(default)]
    steps: u32,
    #[serde(default)]
    optimizer: Optimizer,
    validation_fraction: Option<f64>,
    shuffle: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Model {
    Preset(String),
    Table { layers: u32 },
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Optimizer {
    lr: f64,
    weight_decay: Option<f64>,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Noop {
    #[serde(default)]
    values: serde_json::Value,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Command {
    argv: Vec<serde_json::Value>,
    shell: Option<String>,
    env: std::collections::BTreeMap<String, serde_json::Value>,
    cwd: Option<String>,
}

pub(crate) fn catalog() -> Catalog {
    let kind = |kind, schema: schemars::Schema| KindInfo {
        kind,
        summary: "for tests",
        placement: Placement::Child,
        schema: schema.to_value(),
    };
    Catalog {
        kinds: vec![
            kind("corpus.import", schemars::schema_for!(Import)),
            kind("train", schemars::schema_for!(Train)),
            kind("noop", schemars::schema_for!(Noop)),
            kind("command", schemars::schema_for!(Command)),
        ],
    }
}

fn parse(source: &str) -> Result<WorkflowSpec, SpecErrors> {
    workflow(source, "test.toml", &[], &catalog(), &NoLibrary)
}

/// Asserts that `source` has exactly these problems: line, part of the message, part of the hint.
#[track_caller]
fn assert_problems(source: &str, expected: &[(usize, &str, &str)]) {
    let errors = parse(source).expect_err("the file is broken");
    let found: Vec<(usize, &str, &str)> = errors
        .problems()
        .iter()
        .map(|problem| {
            let line = problem.position().map_or(0, |(line, _)| line);
            (line, problem.message(), problem.hint_text().unwrap_or_default())
        })
        .collect();
    let fits = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| {
            found.0 == expected.0 && found.1.contains(expected.1) && found.2.contains(expected.2)
        });
    assert!(fits, "in\n{source}\nexpected {expected:#?}\nfound {found:#?}");
}

/// A file with a good head, and `steps` from line 4 on.
fn with_steps(steps: &str) -> String {
    format!("name = \"w\"\n[params]\nvocab = 512\n{steps}")
}

fn noop(rest: &str) -> String {
    with_steps(&format!("[[step]]\nid = \"a\"\nkind = \"noop\"\n{rest}"))
}

/// A file whose step, a command, has these arguments from line 7 on.
fn command(arguments: &str) -> String {
    format!(
        "name = \"w\"\n[secrets]\ntoken = {{ env = \"TOKEN\" }}\n[[step]]\nid = \"a\"\nkind = \"command\"\n{arguments}\n"
    )
}

#[test]
fn commands_that_no_system_can_start() {
    assert_problems(&command(""), &[(6, "the command is empty", "argv = [")]);
    assert_problems(&command("with.argv = []"), &[(7, "`argv` is empty", "program")]);
    assert_problems(
        &command("with = { argv = [\"a\"], shell = \"b\" }"),
        &[(7, "both `argv` and `shell`", "one of them")],
    );
    assert_problems(
        &command("with.argv = [\"a\\u0000b\", [1], { x = 1 }]"),
        &[(7, "`argv[0]` holds a NUL byte", "file"), (7, "`argv[1]` must be text", ""), (7, "not a table", "")],
    );
    assert_problems(
        &command("with.shell = \"x\"\nwith.env = { \"A=B\" = 1, \"\" = 2, C = { d = 1 }, D = \"\\u0000\" }"),
        &[
            (8, "\"A=B\" cannot be the name of a variable", "neither `=`"),
            (8, "\"\" cannot be the name", "not empty"),
            (8, "`env.C` must be text, a number, or true or false, not a table", ""),
            (8, "`env.D` holds a NUL byte", ""),
        ],
    );
    assert_problems(&command("with.shell = \"a\\u0000\""), &[(7, "`shell` holds a NUL byte", "")]);
    parse(&command("with.argv = [\"a\", 3, true, \"{{ secrets.token }}\"]")).expect("all of these are plain");
}

#[test]
fn secrets_are_used_only_where_they_stay_secret() {
    for good in
        ["{{ secrets.token }}", "{{secrets.token}}", "Bearer {{- secrets.token -}}!", "{{ secrets[\\\"token\\\"] }}x"]
    {
        let text = command(&format!("with = {{ argv = [\"a\", \"{good}\"], env = {{ A = \"{good}\" }} }}"));
        parse(&text).unwrap_or_else(|errors| panic!("{good}: {:?}", errors.problems()));
    }
    for (bad, said, hint) in [
        ("{{ secrets.token | upper }}", "can only be passed on as it is", "{{ secrets.token }}"),
        ("{{ secrets.token ~ 'x' }}", "can only be passed on as it is", ""),
        ("a {{ 'x' ~ secrets.token }} b", "can only be passed on as it is", ""),
        ("{% if secrets.token %}x{% endif %}", "can only be passed on as it is", ""),
        ("{{ secrets.token[0] }}", "can only be passed on as it is", ""),
        ("{{ secrets.token.upper() }}", "can only be passed on as it is", ""),
        ("{{ secrets }}", "must name its secret", ""),
        ("{{ secrets[run.name] }}", "must name its secret", ""),
        ("{{ secrets.tokne }}", "unknown secret `tokne`", "did you mean `token`?"),
        ("{{ token }}", "unknown name `token`", "secrets.token"),
    ] {
        let errors = parse(&command(&format!("with.shell = \"{bad}\""))).expect_err(bad);
        let problem = &errors.problems()[0];
        assert!(problem.message().contains(said), "{bad}: {}", problem.message());
        assert!(problem.hint_text().unwrap_or_default().contains(hint), "{bad}: {:?}", problem.hint_text());
    }
    let secret = "\"{{ secrets.token }}\"";
    for kept in [
        format!("with = {{ shell = \"x\", cwd = {secret} }}"),
        format!("when = {secret}\nwith.shell = \"x\""),
        format!("with.shell = \"x\"\n[[step]]\nid = \"b\"\nkind = \"noop\"\nwith.values = {{ a = {secret} }}"),
        format!("with.shell = \"x\"\n[outputs]\na = {secret}"),
    ] {
        let errors = parse(&command(&kept)).expect_err(&kept);
        assert!(errors.problems()[0].message().contains("would not stay secret"), "{kept}: {:?}", errors.problems());
    }
    assert_problems(
        "name = \"w\"\n[secrets]\na = \"hunter2\"\nb = {}\n\"c-d\" = { env = \"X\", file = \"y\" }\ne = { env = \"\" }\nf = { vault = \"x\" }\n[[step]]\nid = \"a\"\nkind = \"noop\"\n",
        &[
            (3, "the secret `a` must name its source, not hold a value", "env = "),
            (4, "the secret `b` needs one source", ""),
            (5, "invalid secret name `c-d`", ""),
            (5, "the secret `c-d` needs one source", ""),
            (6, "names a source that cannot exist", ""),
            (7, "the secret `f` needs one source", ""),
            (7, "unknown key `vault` in a secret", ""),
        ],
    );
    let spec = parse(&command("with.shell = \"{{ secrets.token }}\"")).expect("a good file");
    assert_eq!(serde_json::to_value(&spec).unwrap()["secrets"], serde_json::json!({ "token": { "env": "TOKEN" } }));
    assert_eq!(spec.steps[0].with["shell"], "{{ secrets.token }}");
}

#[test]
fn broken_shapes() {
    assert_problems("name = \"w\"\nname = \"x\"\n", &[(2, "invalid TOML: duplicate key", "")]);
    assert_problems("name = \n", &[(1, "invalid TOML", "")]);
    assert_problems(
        "name = \"a\n[params\nx = = 1\n",
        &[(1, "invalid TOML", ""), (2, "invalid TOML", ""), (3, "invalid TOML", "")],
    );
    assert_problems("", &[(1, "no `name`", "name = "), (1, "no steps", "[[step]]")]);
    assert_problems(
        "name = 3\n[step]\nid = \"a\"\n",
        &[(1, "`name` must be text, not an integer", "quotes"), (2, "`step` must be a list", "[[step]]")],
    );
    assert_problems(
        &with_steps("[[steps]]\nid = \"a\"\n"),
        &[(4, "unknown key `steps`", "did you mean `step`?"), (6, "no steps", "")],
    );
    assert_problems(
        &noop("foreach = \"[1]\"\n"),
        &[(7, "unknown key `foreach` in a step", "did you mean `for_each`?")],
    );
    assert_problems(
        &noop("for_each = [1, 2]\n"),
        &[(7, "must be an expression in quotes, not a list", "for_each = \"[1,2]\"")],
    );
    assert_problems(&noop("needs = \"b\"\n"), &[(7, "`needs` must be a list, not text", "")]);
    assert_problems(&noop("with = { values = 1979-05-27 }\n"), &[(7, "dates are not supported", "\"1979-05-27\"")]);
    assert_problems(&noop("with = { values = nan }\n"), &[(7, "not a finite number", "")]);
    assert_problems(
        "name = \"a b\"\n[params]\n\"x-y\" = 1\n[[step]]\nid = \"a/b\"\nkind = \"noop\"\n",
        &[
            (1, "invalid workflow name `a b`", "letters"),
            (3, "invalid param name `x-y`", "letters"),
            (5, "invalid step id `a/b`", "letters"),
        ],
    );
}

#[test]
fn broken_steps() {
    assert_problems(
        &with_steps("[[step]]\n[[step]]\nid = \"a\"\n"),
        &[(4, "no `id`", "unique id"), (4, "no `kind`", "workflow schema"), (5, "no `kind`", "workflow schema")],
    );
    assert_problems(
        &with_steps("[[step]]\nid = \"a\"\nkind = \"nop\"\n"),
        &[(6, "unknown step kind `nop`", "did you mean `noop`?")],
    );
    assert_problems(
        &with_steps("[[step]]\nid = \"a\"\nkind = \"gpu\"\n"),
        &[(6, "unknown step kind `gpu`", "known kinds: `corpus.import`, `train`, `noop`, `command`")],
    );
    assert_problems(
        &with_steps("[[step]]\nid = \"a\"\nkind = \"noop\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\n"),
        &[(8, "duplicate step id `a`", "line 5")],
    );
    assert_problems(&noop("needs = [\"a1\"]\n"), &[(7, "unknown step `a1` in `needs`", "did you mean `a`?")]);
    assert_problems(&noop("needs = [\"a\"]\n"), &[(7, "step `a` needs itself", "")]);
    let ring = "[[step]]\nid = \"a\"\nkind = \"noop\"\nneeds = [\"c\"]\n\
                [[step]]\nid = \"b\"\nkind = \"noop\"\nneeds = [\"a\"]\n\
                [[step]]\nid = \"c\"\nkind = \"noop\"\nwith = { values = \"{{ steps.b.values.x }}\" }\n";
    assert_problems(&with_steps(ring), &[(11, "in a cycle: a -> c -> b -> a", "remove one")]);
}

#[test]
fn broken_policies() {
    let retry =
        "retry = { maximum_attempts = 0, initial_interval = \"1 fortnight\", backoff_coefficient = 0.5, tries = 3 }\n";
    assert_problems(
        &noop(retry),
        &[
            (7, "`maximum_attempts` must be an integer of at least 1", "1 means no retry"),
            (7, "`initial_interval` is not a duration", "30s"),
            (7, "`backoff_coefficient` must be a number of at least 1", ""),
            (7, "unknown key `tries` in `retry`", "known keys"),
        ],
    );
    assert_problems(&noop("retry = { initial_interval = 10, maximum_interval = 5 }\n"), &[(7, "shorter than", "swap")]);
    assert_problems(
        &noop("[step.timeout]\nheartbeat = 0\nstart_to_close = true\n"),
        &[(8, "`heartbeat` must be longer than 0", ""), (9, "`start_to_close` is not a duration", "")],
    );
}

#[test]
fn broken_arguments() {
    let import = |with: &str| with_steps(&format!("[[step]]\nid = \"a\"\nkind = \"corpus.import\"\nwith = {with}\n"));
    assert_problems(&import("{}"), &[(6, "`corpus.import` needs the argument `source`", "File, folder or glob.")]);
    assert_problems(
        &import("{ source = \"x\", sorce = 1 }"),
        &[(7, "unknown argument `sorce`", "did you mean `source`?")],
    );
    assert_problems(
        &import("{ source = 3 }"),
        &[(7, "`source` must be text or a list, not the number 3", "workflow schema")],
    );
    assert_problems(&import("{ source = [\"x\", 4] }"), &[(7, "`source[1]` must be text", "")]);
    assert_problems(
        &import("{ source = \"x\", split = \"paragraf\" }"),
        &[(7, "`split` cannot be the text \"paragraf\"", "did you mean `paragraph`?")],
    );
    assert_problems(&import("{ source = \"x\", documents = -1 }"), &[(7, "`documents` must be at least 0", "")]);
    assert_problems(
        &import("{ source = \"x\", documents = \"many\" }"),
        &[(7, "`documents` must be an integer, not the text \"many\"", "")],
    );
    assert_problems(
        &import("{ source = \"x\", documents = \"about {{ params.vocab }}\" }"),
        &[(7, "`documents` must be an integer, not text", "")],
    );
    assert!(parse(&import("{ source = \"x\", documents = \"{{ params.vocab }}\" }")).is_ok());
    assert_problems(
        &import("{ source = \"x\", again = \"fil\" }"),
        &[(7, "`again` cannot be", "did you mean `file`?")],
    );
    assert_problems(&import("{ source = \"x\", again = 3 }"), &[(7, "`again` must be text, not the number 3", "")]);
    let rule = |text: &str| import(&format!("{{ source = \"x\", rule = {text} }}"));
    assert_problems(&rule("{ type = \"constant\", value = \"x\" }"), &[(7, "`rule.value` must be a number", "")]);
    assert_problems(&rule("{ type = \"cosine\", warm_up = 3 }"), &[(7, "needs the argument `rule.minimum`", "")]);
    assert_problems(
        &rule("{ type = \"linear\" }"),
        &[(7, "`rule.type` cannot be the text \"linear\"", "known values: `constant`, `cosine`")],
    );
    assert_problems(&rule("{ warm_up = 3 }"), &[(7, "needs the argument `rule.type`", "\"constant\", \"cosine\"")]);
    assert_problems(&rule("\"cosine\""), &[(7, "`rule` must be a table, not the text", "")]);
    assert!(parse(&rule("{ type = \"cosine\", warm_up = 3, minimum = 0.1 }")).is_ok());
    assert!(parse(&import("{ source = [\"x\"], split = \"file\", documents = 4 }")).is_ok());
}

#[test]
fn arguments_known_through_references() {
    let file = |with: &str| {
        format!(
            "name = \"w\"\n[params]\nlr = 1e-3\nname = \"tiny\"\nlist = [1]\n\
             [[step]]\nid = \"one\"\nkind = \"noop\"\n\
             [[step]]\nid = \"many\"\nkind = \"noop\"\nfor_each = \"range(3)\"\n\
             [[step]]\nid = \"t\"\nkind = \"train\"\n[step.with]\n{with}"
        )
    };
    let good = "tokens = \"{{ steps.many.outputs.tokens }}\"\ntokenizer = \"{{ steps.one.outputs.tokenizer }}\"\n\
                model = \"{{ params.name }}\"\noptimizer = { lr = \"{{ params.lr }}\" }\nshuffle = true\n";
    assert!(parse(&file(good)).is_ok());
    let bad = "tokens = \"{{ steps.one.outputs.tokens }}\"\ntokenizer = \"{{ steps.many.outputs.tokenizer }}\"\n\
               model = \"{{ params.list }}\"\noptimizer = { lr = \"{{ params.name }}\", wd = 1 }\n\
               steps = \"{{ params.lr }}\"\nshuffle = \"{{ params.name }}\"\n";
    assert_problems(
        &file(bad),
        &[
            (17, "`tokens` must be a list, not an artifact", ""),
            (18, "`tokenizer` must be an artifact, not a list (the step is a fan-out)", ""),
            (19, "`model` must be text or a table, not a list", ""),
            (20, "`optimizer.lr` must be a number, not the text \"tiny\"", ""),
            (20, "unknown argument `optimizer.wd` of `train`", "known arguments: `lr`, `weight_decay`"),
            (21, "`steps` must be an integer, not the number 0.001", ""),
            (22, "`shuffle` must be true or false, not the text \"tiny\"", ""),
        ],
    );
}

#[test]
fn broken_templates() {
    let template = |text: &str| noop(&format!("with = {{ values = {text:?} }}\n"));
    assert_problems(&template("{{ 1 + }}"), &[(7, "invalid template", "raw")]);
    assert_problems(&template("x {% if %}"), &[(7, "invalid template", "")]);
    assert_problems(&template("{{ params.vocabb }}"), &[(7, "unknown param `vocabb`", "did you mean `vocab`?")]);
    assert_problems(&template("{{ parms.vocab }}"), &[(7, "unknown name `parms`", "did you mean `params`?")]);
    assert_problems(&template("size {{ vocab }}"), &[(7, "unknown name `vocab`", "write `params.vocab`")]);
    assert_problems(&template("{{ steps.b.outputs.x }}"), &[(7, "unknown step `b`", "known steps: `a`")]);
    assert_problems(&template("{{ steps[params.vocab] }}"), &[(7, "must name its step", "")]);
    assert_problems(&template("{{ item }}"), &[(7, "`item` has no meaning here", "for_each")]);
    assert_problems(&template("{{ run.date }}"), &[(7, "unknown name `run.date`", "run.id")]);
    assert_problems(&template("{{ params.vocab | doubled }}"), &[(7, "unknown filter `doubled`", "")]);
    assert_problems(&template("{{ params.vocab is prime }}"), &[(7, "unknown test `prime`", "")]);
    assert_problems(&template("{{ now() }}"), &[(7, "unknown function `now`", "")]);
    assert_problems(
        &noop("when = \"params.nope\"\nfor_each = \"item\"\n"),
        &[(7, "unknown param `nope`", ""), (8, "`item` has no meaning", "")],
    );
    for good in [
        "{{ params.vocab * 2 }}",
        "{% for x in range(3) %}{{ x }}{{ loop.index }}{% endfor %}",
        "{% set y = 1 %}{{ y }}",
        "{{ [1, 2] | map(attribute='x') | join(sep=', ') }}",
        "{% raw %}{{ anything }}{% endraw %}",
        "{{ params.vocab is not none and not params.vocab == 3 }}",
        "{{ run.id }} {{ run.name }}",
    ] {
        assert!(parse(&template(good)).is_ok(), "{good}: {:?}", parse(&template(good)));
    }
}

#[test]
fn steps_in_templates() {
    let file = |text: &str| {
        with_steps(&format!(
            "[[step]]\nid = \"my-step\"\nkind = \"noop\"\n\
             [[step]]\nid = \"many\"\nkind = \"noop\"\nfor_each = \"range(2)\"\nwith = {{ values = \"{{{{ item + index }}}}\" }}\n\
             [[step]]\nid = \"b\"\nkind = \"noop\"\nwith.values = {text:?}\n"
        ))
    };
    assert_problems(
        &file("{{ steps.my-step.values.x }}"),
        &[(15, "unknown step `my`", "steps[\"my-step\"]"), (15, "unknown name `step`", "")],
    );
    assert_problems(
        &file("{{ steps.many.result }}"),
        &[(15, "a step has `outputs` and `values`", "steps.many.outputs.NAME")],
    );
    assert_problems(&file("{{ steps.many.values.x.y }}"), &[(15, "is a fan-out, so `x` is a list", "x[0].y")]);
    let spec =
        parse(&file("{{ steps['my-step'].values.x + (steps.many.values.y[1:] | first) }}")).expect("a good file");
    assert_eq!(spec.steps[2].needs, ["my-step".into(), "many".into()]);
}

#[test]
fn needs_are_declared_then_referenced_without_duplicates() {
    let steps = ["a", "b", "c", "d"].map(|id| format!("[[step]]\nid = \"{id}\"\nkind = \"noop\"\n")).concat();
    let last = "[[step]]\nid = \"e\"\nkind = \"noop\"\nneeds = [\"c\", \"c\"]\nwhen = \"steps.a.values.ok\"\n\
                for_each = \"{{ steps.d.values.list }}\"\nwith = { values = [\"{{ steps.c.values.x }}\", { y = \"{{ steps.b.values.x }}\" }] }\n";
    let spec = parse(&with_steps(&(steps + last))).expect("a good file");
    assert_eq!(spec.steps[4].needs, ["c".into(), "b".into(), "d".into(), "a".into()]);
}

#[test]
fn needs_follow_the_order_of_the_file() {
    let steps = ["a", "b"].map(|id| format!("[[step]]\nid = \"{id}\"\nkind = \"noop\"\n")).concat();
    let last = "[[step]]\nid = \"c\"\nkind = \"noop\"\n[step.with.values]\nz = \"{{ steps.b.values.x }}\"\ny = \"{{ steps.a.values.x }}\"\n";
    let spec = parse(&with_steps(&(steps + last))).expect("a good file");
    assert_eq!(spec.steps[2].needs, ["b".into(), "a".into()]);
}

#[test]
fn the_report_shows_file_line_column_caret_and_hint() {
    let errors = parse(&noop("with = { values = \"size {{ params.vocabb }}\" }\n")).expect_err("unknown param");
    assert_eq!(errors.problems()[0].position(), Some((7, 28)));
    let single = parse(&noop("with = { values = \"{{ params.nope }}\" }\n")).expect_err("unknown param");
    assert_eq!(single.problems()[0].position(), Some((7, 23)), "the name, not the start of the text");
    let report = errors.render(Color::Plain, 100);
    for part in ["test.toml:7:28", "params.vocabb", "not in [params]", "did you mean `vocab`?", "has a problem"] {
        assert!(report.contains(part), "{part} is missing in\n{report}");
    }
    assert!(!report.contains('\u{1b}'), "no colour codes in\n{report}");
    assert!(errors.render(Color::Ansi, 100).contains('\u{1b}'));
}

#[test]
fn a_chain_of_100_000_steps_is_checked_in_bounded_stack() {
    let mut source = "name = \"chain\"\n[[step]]\nid = \"s0\"\nkind = \"noop\"\n".to_owned();
    for index in 1..100_000 {
        source += &format!("[[step]]\nid = \"s{index}\"\nkind = \"noop\"\nneeds = [\"s{}\"]\n", index - 1);
    }
    assert_eq!(parse(&source).expect("a good file").steps.len(), 100_000);
}

#[test]
fn the_specification_is_true() {
    let text = include_str!("../../../specs/workflow-format.md");
    let example = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let mut catalog = catalog();
    catalog.kinds.push(KindInfo { kind: "tokenize", schema: serde_json::json!({}), ..catalog.kinds[2].clone() });
    let spec =
        workflow(example, "example.toml", &[], &catalog, &NoLibrary).map_err(|errors| errors.render(Color::Plain, 100));
    assert_eq!(spec.map(|spec| spec.steps[1].needs.clone()), Ok(vec!["import".into()]));

    let listed = |start: &str| {
        let rest = text.split(start).nth(1).expect(start);
        let list: String = rest.chars().take_while(|c| *c != '.').filter(|c| *c != '`').collect();
        list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(listed("Functions: ").iter().all(|name| is_function(name)));
    assert!(listed("Filters: ").iter().all(|name| is_filter(name)));
    assert!(listed("Tests (`is NAME`): ").iter().all(|name| is_test(name)));
}

#[test]
fn hostile_files_are_refused_without_a_crash() {
    let deep_key = format!("name = \"w\"\n[params]\n{}x = 1\n", "a.".repeat(100_000));
    let deep_list = format!("name = \"w\"\n[params]\nx = {}\n", "[".repeat(100_000));
    let deep_header = format!("name = \"w\"\n[params{}]\n", ".a".repeat(100_000));
    let deep_template = noop(&format!("with = {{ values = \"{{{{ {}1 }}}}\" }}", "(".repeat(100_000)));
    for source in [deep_key, deep_list, deep_header, deep_template] {
        assert!(parse(&source).is_err());
    }
}
