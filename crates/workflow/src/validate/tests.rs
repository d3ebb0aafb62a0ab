//! Broken workflow files, each with the problems that must be reported: line, message, hint.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::catalog::{Catalog, Given, Gives, KindInfo, Placement};
use crate::diagnostic::{Color, SpecErrors};
use crate::limits::Limits;
use crate::parse::{NoLibrary, workflow};
use crate::pools::{Pool, Pools};
use crate::spec::WorkflowSpec;
use crate::template::{FILTERS, FUNCTIONS, TESTS, is_filter, is_function, is_test};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;

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
    outputs: std::collections::BTreeMap<String, String>,
}

pub(crate) fn catalog() -> Catalog {
    let any = Gives { outputs: Given::Any, values: Given::Any };
    let named = Gives {
        outputs: Given::Named(&[("documents", "text"), ("pairs", "pairs")]),
        values: Given::Named(&[("count", "how many")]),
    };
    let kind = |kind, schema: schemars::Schema, gives| KindInfo {
        kind,
        summary: "for tests",
        placement: Placement::Child,
        schema: schema.to_value(),
        gives,
    };
    Catalog {
        check: None,
        limits: None,
        kinds: vec![
            kind("corpus.import", schemars::schema_for!(Import), named),
            kind("train", schemars::schema_for!(Train), any),
            kind("noop", schemars::schema_for!(Noop), any),
            kind("command", schemars::schema_for!(Command), Gives { outputs: Given::KeysOf("outputs"), ..any }),
        ],
    }
}

fn parse(source: &str) -> Result<WorkflowSpec, SpecErrors> {
    parse_with(source, &catalog())
}

fn parse_with(source: &str, catalog: &Catalog) -> Result<WorkflowSpec, SpecErrors> {
    workflow(source, "test.toml", &[], catalog, &NoLibrary)
}

/// Asserts that `source` has exactly these problems: line, part of the message, part of the hint.
#[track_caller]
fn assert_problems(source: &str, expected: &[(usize, &str, &str)]) {
    assert_problems_with(source, &catalog(), expected);
}

#[track_caller]
fn assert_problems_with(source: &str, catalog: &Catalog, expected: &[(usize, &str, &str)]) {
    let errors = parse_with(source, catalog).expect_err("the file is broken");
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

/// A file with a valid head, and `steps` from line 4 on.
fn with_steps(steps: &str) -> String {
    format!("name = \"w\"\n[params]\nvocab = 512\n{steps}")
}

fn noop(rest: &str) -> String {
    with_steps(&format!("[[step]]\nid = \"a\"\nkind = \"noop\"\n{rest}"))
}

/// A file with a command step whose arguments start at line 7.
fn command(arguments: &str) -> String {
    format!(
        "name = \"w\"\n[secrets]\ntoken = {{ env = \"TOKEN\" }}\n[[step]]\nid = \"a\"\nkind = \"command\"\n{arguments}\n"
    )
}

#[test]
fn commands_that_no_system_can_start() {
    assert_problems(&command(""), &[(6, "the command is empty", "argv = [")]);
    assert_problems(&command("with.argv = []"), &[(7, "`argv` is empty", "program")]);
    assert_problems(&command("with.argv = [\"\"]"), &[(7, "`argv[0]` is empty", "program")]);
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
fn outputs_within_text_are_refused() {
    let two = |argument: &str| {
        format!(
            "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith = {{ argv = [\"x\"], outputs = {{ m = \"m\" }} }}\n\
             [[step]]\nid = \"many\"\nkind = \"command\"\nfor_each = \"range(2)\"\n\
             with = {{ argv = [\"x\"], outputs = {{ m = \"m\" }} }}\n\
             [[step]]\nid = \"b\"\nkind = \"command\"\n{argument}\n"
        )
    };
    for (text, full) in [
        ("path={{ steps.a.outputs.m }}", "steps.a.outputs.m"),
        ("{{- steps.a.outputs.m -}} x", "steps.a.outputs.m"),
        ("{{ steps.many.outputs.m }},", "steps.many.outputs.m"),
        ("--m={{ steps.many.outputs.m[0] }}", "steps.many.outputs.m[0]"),
        ("{{ 'path=' ~ steps.a.outputs.m }}", "steps.a.outputs.m"),
        ("{{ steps.a.outputs.m ~ '/x' }}", "steps.a.outputs.m"),
        ("m={{ (steps.many | best(by='values.x')).outputs.m }}", "(steps.many | best(by='values.x')).outputs.m"),
    ] {
        for argument in [
            format!("with.argv = [\"p\", \"{text}\"]"),
            format!("with.shell = \"{text}\""),
            format!("with = {{ argv = [\"p\"], env = {{ A = \"{text}\" }} }}"),
        ] {
            let errors = parse(&two(&argument)).expect_err(&argument);
            let [problem] = errors.problems() else { panic!("{argument}: {:?}", errors.problems()) };
            assert_eq!(problem.message(), format!("`{full}` within other text is its record, not a path"));
            let hint = problem.hint_text().unwrap();
            assert!(hint.contains(&format!("`env = {{ M = \"{{{{ {full} }}}}\" }}`")), "{argument}: {hint}");
            assert!(hint.contains(&format!("`argv = [.., \"{{{{ {full} }}}}\"]`")), "{argument}: {hint}");
        }
    }
    for good in [
        "{{ steps.a.outputs.m }}",
        " {{ (steps.many | best(by='values.x')).outputs.m }} ",
        "sha={{ steps.a.outputs.m.digest }}",
        "n={{ steps.many.outputs.m | length }}",
        "{% if steps.a.outputs.m.size > 3 %}large{% endif %}",
        "{{ steps.a.outputs.m if params is defined else 'x' }}",
    ] {
        parse(&two(&format!("with.argv = [\"p\", \"{good}\"]")))
            .unwrap_or_else(|e| panic!("{good}: {:?}", e.problems()));
    }
    let noop = two(
        "with.argv = [\"p\"]\n[[step]]\nid = \"c\"\nkind = \"noop\"\nwith.values = { a = \"m: {{ steps.a.outputs.m }}\" }",
    );
    assert_problems(&noop, &[(18, "within other text is its record", "name a field: `steps.a.outputs.m.digest`")]);
    let unknown = two("with.argv = [\"p\", \"m={{ steps.a.outputs.nope }}\"]");
    assert_problems(&unknown, &[(14, "gives no output `nope`", "")]);
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
        &[(4, "unknown key `steps`", "did you mean `[[step]]`?"), (6, "no steps", "")],
    );
    assert_problems(
        &noop("foreach = \"[1]\"\n"),
        &[(7, "unknown key `foreach` in a step", "did you mean `for_each`?")],
    );
    assert_problems(
        &noop("for_each = [1, 2]\n"),
        &[(7, "must be an expression in quotes, not a list", "for_each = \"[1,2]\"")],
    );
    assert_problems(&noop("needs = 3\n"), &[(7, "`needs` must be a list, not an integer", "")]);
    assert_problems(&noop("needs = \"b\"\n"), &[(7, "unknown step `b` in `needs`", "")]);
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
fn keys_of_other_systems_are_answered_with_the_line_to_write() {
    for (line, hint) in [
        ("depends_on = [\"b\"]", "write `needs = [\"b\"]`"),
        ("after = \"b\"", "write `needs = [\"b\"]`"),
        ("retries = 2", "write `retry = 3`: it counts the first attempt, too"),
        ("max_attempts = 4", "write `retry = 4`: attempts in all"),
        ("gpus = 2", "write `resources = { gpu = 2 }`, and `[pools]` with `gpu = [\"gpu:0\"]` in `stepwell.toml`"),
        ("mem = \"8G\"", "write `resources = { memory = \"8GiB\" }`"),
        ("cmd = \"echo hi\"", "write `with = { shell = \"echo hi\" }`"),
        ("command = [\"a\", \"b\"]", "write `with = { argv = [\"a\",\"b\"] }`"),
        ("argv = [\"a\"]", "write `with = { argv = .. }`"),
        ("time_limit = \"2h\"", "write `timeout = \"2h\"`"),
        ("if = \"x\"", "write `when = "),
        ("matrix = { a = [1] }", "`for_each = \"params.seeds\"`"),
        ("metrics = \"m.jsonl\"", "`$STEPWELL_METRICS`"),
        ("image = \"x\"", "docker"),
        ("params = { a = 1 }", "`[params]`"),
        ("pool = \"gpu\"", "`resources = { gpu = 1 }`"),
        ("label = \"x\"", "write `id = \"x\"`"),
        ("with-items = [1]", "`for_each"),
        ("prioriti = 1", "did you mean `priority`?"),
    ] {
        let key = line.split(' ').next().unwrap();
        assert_problems(&noop(line), &[(7, &format!("unknown key `{key}` in a step"), hint)]);
    }
    for (line, hint) in [
        ("[pool]\ngpu = 1", "`stepwell.toml`"),
        ("[parameters]\na = 1", "write `[params]`"),
        ("[[tasks]]\nid = \"a\"", "did you mean `[[step]]`?"),
        ("[schedule]\ncron = \"x\"", "`stepwell schedule add NAME"),
        ("[env]\nA = \"x\"", "with = { env = "),
        ("[notify]\nurl = \"x\"", "`stepwell.toml`"),
        ("[budgets]\nx = 1", "did you mean `budget`?"),
    ] {
        let key = line.trim_start_matches('[').split(']').next().unwrap();
        let text = format!("name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\n{line}\n");
        assert_problems(&text, &[(5, &format!("unknown key `{key}`"), hint)]);
    }
    assert_problems(
        &with_steps("[[step]]\nid = \"a\"\nkind = \"corpus.import\"\nwith = { source = \"x\", retry = 3 }\n"),
        &[(7, "unknown argument `retry`", "beside `with`")],
    );
    let refused = |arguments: &str| {
        let errors = parse(&command(arguments)).expect_err(arguments);
        errors.problems().iter().filter_map(|problem| problem.hint_text()).collect::<Vec<_>>().join("; ")
    };
    for (arguments, hint) in [
        ("with = { shell = \"x\", metrics = \"m\" }", "`$STEPWELL_METRICS`"),
        ("with = { shell = \"x\", working_dir = \"d\" }", "write `cwd = "),
        ("with = { args = [\"x\"] }", "write `argv = "),
    ] {
        assert!(refused(arguments).contains(hint), "{arguments}: {}", refused(arguments));
    }
}

#[test]
fn a_timeout_is_a_duration_and_a_need_one_step() {
    let spec =
        parse(&noop("timeout = \"30m\"\n[[step]]\nid = \"b\"\nkind = \"noop\"\nneeds = \"a\"\n")).expect("short forms");
    assert_eq!(spec.steps[0].timeout.start_to_close, Some(std::time::Duration::from_secs(1800)));
    assert_eq!(spec.steps[1].needs, ["a".into()]);
    assert_problems(&noop("timeout = 0\n"), &[(7, "`timeout` must be longer than 0", "")]);
    assert_problems(&noop("timeout = \"soon\"\n"), &[(7, "`timeout` is not a duration", "30s")]);
    assert_problems(&noop("timeout = true\n"), &[(7, "`timeout` must be a table", "timeout = \"30m\"")]);
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
        &[(7, "`documents` must be an integer, not the text \"about 512\"", "")],
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
            (20, "unknown argument `optimizer.wd` of `train`", "did you mean `weight_decay`?"),
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
        "{{ [{'x': 1}] | map(attribute='x') | join(', ') }}",
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
    let text = include_str!("../../../../specs/workflow-format.md");
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
    assert_eq!(listed("Functions: "), FUNCTIONS);
    assert_eq!(listed("Filters: "), FILTERS);
    assert_eq!(listed("Tests (`is NAME`): "), TESTS);
    assert!(FUNCTIONS.iter().all(|name| is_function(name)));
    assert!(FILTERS.iter().all(|name| is_filter(name)));
    assert!(TESTS.iter().all(|name| is_test(name)));
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

/// An import, and a step `b` from line 8 whose values are `text` at line 10.
fn after_import(fan_out: &str, text: &str) -> String {
    with_steps(&format!(
        "[[step]]\nid = \"import\"\nkind = \"corpus.import\"\nwith = {{ source = \"x\" }}{fan_out}\n\
         [[step]]\nid = \"b\"\nkind = \"noop\"\nwith.values = {text:?}\n"
    ))
}

#[test]
fn what_a_step_does_not_give_is_refused() {
    let one = |text: &str| after_import("", text);
    let not_given = |text: &str, message: &str, hint: &str| assert_problems(&one(text), &[(11, message, hint)]);
    not_given(
        "{{ steps.import.outputs.docments }}",
        "step `import` (`corpus.import`) gives no output `docments`",
        "did you mean `documents`?",
    );
    not_given("x {{ steps.import.values.rows + 1 }}", "gives no value `rows`", "known values of `import`: `count`");
    not_given("{{ steps.import.values.documents }}", "no value `documents`", "write `steps.import.outputs.documents`");
    not_given("{{ steps.import.outputs.nope is defined }}", "no output `nope`", "`documents`, `pairs`");
    not_given("{{ steps.import.outputs.documents.sha }}", "has no field `sha`", "`digest`, `size`, `media_type`");
    for good in
        ["{{ steps.import.outputs.documents.size }}", "{{ steps.import.values.count }}", "{{ steps.import.values }}"]
    {
        assert!(parse(&one(good)).is_ok(), "{good}: {:?}", parse(&one(good)));
    }
    let many = |text: &str| after_import("\nfor_each = \"range(2)\"", text);
    assert_problems(&many("{{ steps.import.outputs.documents[0].sha }}"), &[(12, "has no field `sha`", "")]);
    assert_problems(&many("{{ steps.import.outputs.docs | first }}"), &[(12, "no output `docs`", "")]);
    let outputs = one("") + "[outputs]\nresult = \"{{ steps.import.outputs.result }}\"\n";
    assert_problems(&outputs, &[(13, "gives no output `result`", "known outputs")]);
}

#[test]
fn values_have_no_methods() {
    let method = |text: &str, hint: &str| {
        let message = "values in a template have no methods";
        assert_problems(&noop(&format!("with = {{ values = {text:?} }}\n")), &[(7, message, hint)]);
    };
    method("{{ [1, 2].index(2) }}", "values | zip(others) | sort");
    method("{{ [1, 2].frobnicate(2) }}", "known filters");
    method("{{ params.vocab.upper() }}", "write a filter: `value | upper`");
    method("{{ (params.vocab | string).strip() }}", "`value | trim`");
    method("{% for x in [1] %}{{ x.get('a') }}{% endfor %}", "default(..)");
    let cycle = noop("with = { values = \"{% for x in range(3) %}{{ loop.cycle(1, 2) }}{% endfor %}\" }\n");
    assert!(parse(&cycle).is_ok());
}

#[test]
fn templates_over_params_are_evaluated_before_the_run() {
    let template = |text: &str| noop(&format!("with = {{ values = {text:?} }}\n"));
    assert_problems(&template("{{ params.vocab / 0 }}"), &[(7, "fails in every run", "")]);
    assert_problems(&template("{{ params.vocab.rows.x }}"), &[(7, "fails in every run", "")]);
    assert_problems(&noop("for_each = \"params.vocab\"\n"), &[(7, "gives an integer, not a list", "`range(4)`")]);
    assert_problems(&noop("for_each = \"range(300000)\"\n"), &[(7, "fails in every run", "")]);
    assert_problems(&noop("when = \"params.vocab\"\n"), &[(7, "not true or false", "compare it")]);
    // A skipped step evaluates none of its templates.
    let skipped = "when = \"params.vocab < 3\"\nwith = { values = \"{{ params.vocab / 0 }}\" }\n";
    assert!(parse(&noop(skipped)).is_ok());
    let import = |with: &str| with_steps(&format!("[[step]]\nid = \"a\"\nkind = \"corpus.import\"\nwith = {with}\n"));
    let split = "{ source = \"x\", split = \"{{ 'fil' if params.vocab > 3 else 'file' }}\" }";
    assert_problems(&import(split), &[(7, "`split` cannot be the text \"fil\"", "did you mean `file`?")]);
    let count = "{ source = \"x\", documents = \"{{ params.vocab / 2 }}\" }";
    assert_problems(&import(count), &[(7, "`documents` must be an integer, not the number 256.0", "")]);
}

#[test]
fn a_kind_judges_arguments_that_are_all_known() {
    let catalog = Catalog {
        check: Some(|kind, with| match (kind, with["source"].as_str()) {
            ("corpus.import", Some("")) => Err(Failure::fatal("`source` is empty").with_hint("name a file")),
            _ => Ok(()),
        }),
        ..catalog()
    };
    let import = |source: &str| {
        with_steps(&format!("[[step]]\nid = \"a\"\nkind = \"corpus.import\"\nwith = {{ source = {source:?} }}\n"))
    };
    assert_problems_with(&import(""), &catalog, &[(6, "`source` is empty", "name a file")]);
    assert!(parse_with(&import("x"), &catalog).is_ok());
    assert!(parse_with(&import("{{ run.name }}"), &catalog).is_ok(), "known in the run only");
}

#[test]
fn demands_that_the_machine_cannot_meet_are_refused() {
    let pools = Pools(BTreeMap::from([("gpu".to_owned(), Pool::Devices(vec!["gpu:0".into(), "gpu:1".into()]))]));
    let limits = Limits { pools, ..Limits::default() };
    let catalog = Catalog { limits: Some(limits), ..catalog() };
    let demands = |text: &str| noop(&format!("resources = {text}\nrate_limit = \"api\"\n"));
    assert_problems_with(
        &demands("{ gpus = 1 }"),
        &catalog,
        &[
            (7, "asks for 1 of `gpus`, which is not configured", "did you mean `gpu`? Or write `[pools]`"),
            (8, "rate limit `api` is not configured", "[rate_limits]"),
        ],
    );
    assert_problems_with(
        &demands("{ gpu = 3 }"),
        &catalog,
        &[(7, "asks for 3 of `gpu`, but the pool has only 2", "lower"), (8, "`api`", "")],
    );
    assert!(parse_with(&noop("resources = { gpu = 2 }\n"), &catalog).is_ok());
    assert!(parse(&demands("{ gpus = 1 }")).is_ok(), "the settings are unknown");
}

#[test]
fn at_most_ten_problems_are_shown_and_all_are_counted() {
    let keys: String = (0..2345).map(|n| format!("k{n} = 1\n")).collect();
    let errors = parse(&noop(&keys)).expect_err("unknown keys");
    let report = errors.render(Color::Plain, 100);
    assert_eq!(report.matches("unknown key").count(), 10);
    assert!(report.ends_with("and 2,335 more\n`test.toml` has 2,345 problems\n"), "{report}");
}

#[test]
fn a_shell_step_is_a_command() {
    let step = |rest: &str| format!("name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"shell\"\n{rest}\n");
    let spec = parse(&step("retry = 5\nwith = { run = \"echo hi | wc\", cwd = \"/\" }")).expect("it is valid");
    assert_eq!((spec.steps[0].kind.as_str(), spec.steps[0].retry.maximum_attempts), ("command", 5));
    assert_eq!(spec.steps[0].with["argv"], serde_json::json!(["/bin/sh", "-euc", "echo hi | wc"]));
    assert_problems(&step(""), &[(4, "this `shell` step has no `run`", "with = { run = ")]);
    assert_problems(&step("with.shell = \"x\""), &[(5, "a `shell` step has no `shell`", "write `run = ")]);
    assert_problems(&step("with.run = [\"x\"]"), &[(5, "`run` must be text, not a list", "write a script")]);
    assert_problems(&step("with = { run = \"{{ params.x }}\" }"), &[(5, "unknown param `x`", "")]);
    assert_problems(
        &step("with = { run = \"x\", argv = [\"y\"] }"),
        &[(5, "both `run` and `argv` are given", "one of them")],
    );
    assert_problems(
        &step("run = \"x\""),
        &[(4, "has no `run`", ""), (5, "unknown key `run` in a step", "with = { run = ")],
    );
    assert_problems(
        &step("retry = 0\nwith.run = \"x\""),
        &[(5, "`retry` must be an integer of at least 1", "no retry")],
    );
    assert_problems(&step("retry = true\nwith.run = \"x\""), &[(5, "`retry` must be a table", "retry = 3, or")]);
}

#[test]
fn children_and_files_are_named_where_they_are_known() {
    let many = "[[step]]\nid = \"many\"\nkind = \"noop\"\nfor_each = \"range(3)\"\n[[step]]\nid = \"docs\"\n\
                kind = \"corpus.import\"\nfor_each = \"range(2)\"\nwith.source = \"x\"\n";
    let last = |rest: &str| with_steps(&format!("{many}[[step]]\nid = \"last\"\nkind = \"noop\"\n{rest}\n"));
    for good in [
        "with.values = { v = \"{{ (steps.many | best(by='values.loss')).outputs.model }}\" }",
        "with.values = { v = \"{{ best(steps.many, by='loss').item }}\" }",
        "with.values = { v = \"{{ steps.many.children | map(attribute='item') | list }}\" }",
        "for_each = \"glob('data/*.txt')\"\nwith.values = { v = \"{{ item }}\" }",
    ] {
        let spec = parse(&last(good)).unwrap_or_else(|errors| panic!("{good}: {:?}", errors.problems()));
        assert_eq!(spec.steps[2].needs.is_empty(), good.contains("glob"), "{good}");
    }
    for (bad, message, hint) in [
        ("with.values = { v = \"{{ steps.many }}\" }", "not `steps.many`", "best(by="),
        (
            "with.values = { v = \"{{ (steps.docs | best(by='values.size')).item }}\" }",
            "gives no value `size`",
            "`count`",
        ),
        (
            "with.values = { v = \"{{ best(steps.docs, by='count').outputs.texts }}\" }",
            "gives no output `texts`",
            "`documents`",
        ),
        ("with.values = { v = \"{{ steps.many.index() }}\" }", "`.index()`", "best(by="),
        ("with.values = { v = \"{{ glob('x') }}\" }", "`glob` lists files for `for_each` only", "for_each = "),
        ("with.values = { v = \"{{ len(params.vocab) }}\" }", "unknown function `len`", "value | length"),
        ("with.values = { v = \"{{ argmin(params.vocab) }}\" }", "unknown function `argmin`", "best(by="),
    ] {
        assert_problems(&last(bad), &[(16, message, hint)]);
    }
}
