use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::evaluate::{condition, items, resolve};
use super::references::{Segment, whole_reference};
use super::syntax::{scan_expression, scan_text};
use super::{MAXIMUM_ITEMS, Named, Reason, StepOutputs, TemplateContext};
use stepwell_base::artifact::{ArtifactRef, Digest, Outputs};
use stepwell_base::failure::Failure;
use stepwell_base::ids::{RunId, StepId};

fn artifact(text: &str) -> ArtifactRef {
    ArtifactRef { digest: Digest::of(text.as_bytes()), size: text.len() as u64, media_type: "text/plain".to_owned() }
}

fn outputs(name: &str, value: Value) -> Outputs {
    Outputs {
        artifacts: BTreeMap::from([("text".to_owned(), artifact(name))]),
        values: Map::from_iter([("n".to_owned(), value)]),
    }
}

/// Calls `check` with a context in which `one` has run, `many` has three children, `none` none, and
/// `skipped` was skipped.
fn with_context<T>(item: Option<(&Value, usize)>, check: impl FnOnce(&TemplateContext<'_>) -> T) -> T {
    let params = json!({
        "batch": 8, "lr": 0.001, "big": u64::MAX, "name": "tiny", "flag": true, "whole": 1.0,
        "list": [1, 2, 3], "optimizer": { "wd": 0.1 }, "empty": []
    });
    let Value::Object(params) = params else { unreachable!("the params are an object") };
    let one = outputs("one", json!(7));
    let children = [outputs("a", json!(1)), outputs("b", json!(2)), outputs("c", json!(3))];
    let children = children.into_iter().map(|outputs| (json!(outputs.values["n"]), outputs));
    let children: BTreeMap<usize, (Value, Outputs)> = children.enumerate().collect();
    let no_children = BTreeMap::new();
    let steps = BTreeMap::from([
        (StepId::from("one"), StepOutputs::One(&one)),
        (StepId::from("my-many"), StepOutputs::Many(Rc::new(&children))),
        (StepId::from("none"), StepOutputs::Many(Rc::new(&no_children))),
        (StepId::from("skipped"), StepOutputs::Skipped),
    ]);
    check(&TemplateContext {
        params: &params,
        secrets: &BTreeMap::new(),
        steps: &steps,
        run: (RunId(Uuid::nil()), "my-run"),
        scheduled_at: jiff::Timestamp::UNIX_EPOCH,
        item,
        files: None,
    })
}

fn value_of(template: &str) -> Result<Value, super::TemplateError> {
    let with = Map::from_iter([("x".to_owned(), json!({ "y": [template] }))]);
    with_context(Some((&json!({ "shard": "s1" }), 4)), |context| {
        resolve(&with, context).map(|value| value["x"]["y"][0].clone())
    })
}

#[test]
fn one_expression_gives_a_native_value() {
    for (template, expected) in [
        ("{{ params.batch }}", json!(8)),
        ("  {{- params.batch * 2 -}} ", json!(16)),
        ("{{ params.lr }}", json!(0.001)),
        ("{{ params.whole }}", json!(1.0)),
        ("{{ params.big }}", json!(u64::MAX)),
        ("{{ params.flag and not false }}", json!(true)),
        ("{{ params.list }}", json!([1, 2, 3])),
        ("{{ params.optimizer }}", json!({ "wd": 0.1 })),
        ("{{ {'a': {'b': none}} }}", json!({ "a": { "b": null } })),
        ("{{ range(3) }}", json!([0, 1, 2])),
        ("{{ params.nope | default(5) }}", json!(5)),
        ("{{ item.shard }}", json!("s1")),
        ("{{ index }}", json!(4)),
        ("{{ steps.one.values.n + 1 }}", json!(8)),
        ("{{ steps.one.outputs.text }}", json!(artifact("one"))),
        ("{{ steps['my-many'].values.n }}", json!([1, 2, 3])),
        ("{{ steps['my-many'].outputs.text[1].digest }}", json!(artifact("b").digest)),
        ("{{ steps['my-many'].outputs.text | map(attribute='size') | sum }}", json!(3)),
        ("{{ steps.none.outputs.anything }}", json!([])),
        ("{{ steps.skipped.outputs.text is defined }}", json!(false)),
        ("{{ run.name }}", json!("my-run")),
        ("{{ '}}' }}", json!("}}")),
    ] {
        assert_eq!(value_of(template).expect(template), expected, "{template}");
    }
}

#[test]
fn anything_else_gives_text() {
    for (template, expected) in [
        ("plain", "plain"),
        ("{ not a template }", "{ not a template }"),
        ("batch {{ params.batch }}\n", "batch 8\n"),
        ("{{ params.batch }}{{ params.lr }}", "80.001"),
        ("{{ '{{' }} and {{ '}}' }}", "{{ and }}"),
        ("{% for n in steps['my-many'].values.n %}{{ n }},{% endfor %}", "1,2,3,"),
        ("{% raw %}{{ kept }}{% endraw %}", "{{ kept }}"),
        ("<{{ params.name }} & co>", "<tiny & co>"),
    ] {
        assert_eq!(value_of(template).expect(template), json!(expected), "{template}");
    }
}

#[test]
fn no_template_takes_all_time_or_all_memory() {
    let reason = |template: &str| value_of(template).expect_err(template).reason;
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{{ c }}";
    let endless = format!("{endless}{}", "{% endfor %}".repeat(3));
    assert!(matches!(reason(&endless), Reason::TooMuchWork { .. } | Reason::TooMuchText { .. }));
    assert!(matches!(reason(&endless.replace("{{ c }}", "")), Reason::TooMuchWork { .. }));
    assert!(matches!(reason("{{ [0] * 100000000 }}"), Reason::TooManyValues { .. }));
    assert!(matches!(reason("{{ {'a': ['x' * 1000] * 90000} }}"), Reason::TooMuchText { .. }));
    assert!(matches!(reason("{{ 'x' * 90000000 }}"), Reason::TooMuchText { .. }));
    let items = with_context(None, |context| items("[0] * 100000000", context));
    assert!(matches!(items.expect_err("too many").reason, Reason::TooManyValues { .. }));
}

#[test]
fn errors_name_the_place_the_template_and_the_name() {
    let error = |template: &str| value_of(template).expect_err(template).to_string();
    assert_eq!(error("{{ params.nope }}"), "argument x.y[0]: `{{ params.nope }}`: unknown name `params.nope`");
    assert!(error("a {{ steps.one.outputs.nope }}").contains("unknown name `steps.one.outputs.nope`"));
    assert!(error("{{ steps.one.outputs.nope.digest }}").contains("unknown name `steps.one.outputs.nope.digest`"));
    assert!(error("{{ [params.batch, params.nope] }}").contains("unknown name `params.nope`"));
    assert!(error("{{ params.list[7] }}").contains("unknown name `params.list[7]`"));
    assert!(error("{{ steps.skipped.outputs.text }}").contains("step `skipped` was skipped"));
    assert!(error("{{ params.batch + params.name }}").contains("tried to use + operator"));
    assert!(error("{{ 1 / 0 }}").contains("x.y[0]"));
    assert!(error("{{ params.big * 4 }}").contains("does not fit in 64 bits"));
    assert!(
        error("{% for a in range(99999) %}{% for b in range(99) %}xxxxxxxxxx{% endfor %}{% endfor %}")
            .contains("more than")
    );
    let failure = Failure::from(value_of("{{ steps.skipped.values.n }}").expect_err("skipped"));
    assert!(failure.hint.is_some_and(|hint| hint.contains("default")));
}

#[test]
fn items_are_a_bounded_list() {
    with_context(None, |context| {
        assert_eq!(items("params.list", context), Ok(vec![json!(1), json!(2), json!(3)]));
        assert_eq!(items("{{ params.empty }}", context), Ok(Vec::new()));
        assert_eq!(items("range(100000)", context).map(|items| items.len()), Ok(MAXIMUM_ITEMS));
        let reason = |expression: &str| items(expression, context).expect_err(expression).reason;
        assert_eq!(reason("params.name"), Reason::NotAList("text"));
        let count = MAXIMUM_ITEMS + 1;
        assert_eq!(reason("range(100000) | list + [1]"), Reason::TooManyItems { count, maximum: MAXIMUM_ITEMS });
        assert_eq!(reason("item"), Reason::UnknownName("item".to_owned()));
        assert!(matches!(reason("params."), Reason::Syntax(_)));
    });
}

#[test]
fn a_name_that_not_every_child_has_is_unknown() {
    let children = BTreeMap::from([(0, (json!(1), outputs("a", json!(1)))), (1, (json!(2), Outputs::default()))]);
    let steps = BTreeMap::from([(StepId::from("many"), StepOutputs::Many(Rc::new(&children)))]);
    let params = Map::new();
    let secrets = BTreeMap::new();
    let context = TemplateContext {
        params: &params,
        secrets: &secrets,
        steps: &steps,
        run: (RunId(Uuid::nil()), "r"),
        scheduled_at: jiff::Timestamp::UNIX_EPOCH,
        item: None,
        files: None,
    };
    let reason = items("steps.many.values.n", &context).expect_err("misaligned").reason;
    assert_eq!(reason, Reason::UnknownName("steps.many.values.n".to_owned()));
}

#[test]
fn conditions_are_true_or_false() {
    with_context(None, |context| {
        assert_eq!(condition("params.batch > 4", context), Ok(true));
        assert_eq!(condition("{{ not params.flag }}", context), Ok(false));
        assert_eq!(condition("params.batch", context).expect_err("number").reason, Reason::NotACondition("an integer"));
    });
}

#[test]
fn references_are_found_with_their_places() {
    let text = "a {{ steps['x-y'].outputs.z[0].digest|lower }} {% for i in params.xs %}{{ i.a + item }}{% endfor %}{# steps.no #}";
    let scan = scan_text(text).expect("a good template");
    let found: Vec<(String, &str)> =
        scan.references.iter().map(|found| (found.to_string(), &text[found.range.clone()])).collect();
    assert_eq!(
        found,
        [
            ("steps[\"x-y\"].outputs.z[0].digest".to_owned(), "steps['x-y'].outputs.z[0].digest"),
            ("params.xs".to_owned(), "params.xs"),
            ("i.a".to_owned(), "i.a"),
            ("item".to_owned(), "item"),
        ]
    );
    assert!(scan.locals.contains("i") && !scan.locals.contains("item"));
    assert_eq!(scan.filters[0].0, "lower");
    let sliced = scan_expression("steps.a.outputs.b[1:] | first").expect("a good expression");
    assert_eq!(sliced.references[0].to_string(), "steps.a.outputs.b");
    assert_eq!(whole_reference(" params.a.0 ").map(|found| found.path.len()), Some(2));
    assert_eq!(whole_reference("params.a[-1]").map(|found| found.path[1].clone()), Some(Segment::Index(-1)));
    assert!(whole_reference("params.a + 1").is_none() && whole_reference("range(3)").is_none());
}

#[test]
fn hostile_templates_are_errors() {
    for template in [
        "{{ 'x' * 100000000000 }}",
        "{{ [0] * 100000000000 }}",
        "{{ '%1000000000000d' | format(1) }}",
        "{{ 'x' | indent(100000000000) }}",
        "{{ [1] | batch(100000000000, 0) }}",
        "{{ [1] | slice(100000000000, 0) }}",
        "{{ [1] | slice(100000000000) }}",
        "{{ [1] | sum(100000000000) }}",
        "{{ 1 | round(100000000000) }}",
        "{{ 10 ** 100000 }}",
        "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
    ] {
        println!("{template}");
        assert!(value_of(template).is_err(), "{template}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9f64).prop_map(Value::from),
        "[a-z {}%#.]{0,12}"
            .prop_filter("no template", |text| !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)))
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn values_without_templates_stay_as_they_are(value in any_json()) {
        let with = Map::from_iter([("x".to_owned(), value)]);
        let once = with_context(None, |context| resolve(&with, context));
        prop_assert_eq!(once, Ok(Value::Object(with)));
    }

    #[test]
    fn items_pass_through_templates_unchanged(value in any_json()) {
        let with = Map::from_iter([("x".to_owned(), json!("{{ item }}"))]);
        let resolved = with_context(Some((&value, 0)), |context| resolve(&with, context));
        prop_assert_eq!(resolved.map(|resolved| resolved["x"].clone()), Ok(value));
    }

    #[test]
    fn broken_templates_are_errors_and_never_panic(text in "[a-z {}%#.|'\"\\[\\]()=+-]{0,40}") {
        let _ = value_of(&text);
        let _ = value_of(&format!("{{{{ {text} }}}}"));
        let _ = scan_text(&text);
        let _ = scan_expression(&text);
    }
}

#[test]
fn the_steps_that_templates_name_are_known_before() {
    let table = |value: Value| Map::from_iter([("x".to_owned(), value)]);
    let these = |names: &[&str]| Named::These(names.iter().map(|&name| StepId::from(name)).collect());
    let named = |value: Value| Named::by_table(&table(value));
    assert_eq!(named(json!(["{{ steps.one.values.n }}", "{{ params.batch }}", "steps.two"])), these(&["one"]));
    assert_eq!(named(json!({ "y": "at {{ steps['my-many'].outputs.text[0] }}" })), these(&["my-many"]));
    for computed in ["{{ steps[item].values.n }}", "{% for id in steps %}{{ id }}{% endfor %}", "{{ steps | length }}"]
    {
        assert_eq!(
            named(json!(["{{ steps.one.values.n }}", computed, "{{ steps.b.values.n }}"])),
            Named::Any,
            "{computed}"
        );
    }
}

#[test]
fn the_best_child_of_a_fan_out() {
    for (template, expected) in [
        ("{{ (steps[\"my-many\"] | best(by=\"values.n\")).item }}", json!(1)),
        ("{{ best(steps[\"my-many\"], by=\"n\", order=\"max\").values.n }}", json!(3)),
        ("{{ (steps[\"my-many\"] | max(by=\"values.n\")).index }}", json!(2)),
        ("{{ (steps[\"my-many\"].children | min(by=\"item\")).outputs.text.media_type }}", json!("text/plain")),
        ("{{ (steps[\"my-many\"] | best(\"values.n\")).index }}", json!(0)),
        ("{{ ([{\"a\": none}, {\"a\": 2}, {\"a\": 1.5}] | best(by=\"a\")).a }}", json!(1.5)),
        ("{{ [3, 1, 2] | max }}", json!(3)),
        ("{{ steps[\"my-many\"].values.n | min }}", json!(1)),
        ("{{ steps[\"my-many\"].children | map(attribute=\"item\") | list }}", json!([1, 2, 3])),
    ] {
        assert_eq!(value_of(template), Ok(expected), "{template}");
    }
    for (template, said) in [
        ("{{ steps[\"my-many\"] | best(by=\"values.m\") }}", "no child has a number `values.m`; they have `values.n`"),
        ("{{ steps.none | best(by=\"values.n\") }}", "no child has a number `values.n`"),
        ("{{ steps[\"my-many\"] | best }}", "`best` needs `by`"),
        ("{{ steps[\"my-many\"] | best(by=\"n\", order=\"up\") }}", "`order` is \"min\" or \"max\""),
        ("{{ params.batch | best(by=\"n\") }}", "the children of a fan-out"),
        ("{{ glob(\"*\") }}", "for `for_each` only"),
    ] {
        let error = value_of(template).expect_err(template).to_string();
        assert!(error.contains(said), "{template}: {error}");
    }
}

#[test]
fn files_are_listed_by_the_caller() {
    #[derive(Debug)]
    struct Two;
    impl super::Files for Two {
        fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
            match pattern {
                "*.txt" => Ok(vec!["a.txt".to_owned(), "b.txt".to_owned()]),
                other => Err(format!("`{other}` matches no file")),
            }
        }
    }
    with_context(None, |context| {
        let context = TemplateContext { files: Some(std::sync::Arc::new(Two)), ..context.clone() };
        assert_eq!(items("glob('*.txt')", &context), Ok(vec![json!("a.txt"), json!("b.txt")]));
        assert_eq!(items("{{ glob('*.txt') | reverse | list }}", &context), Ok(vec![json!("b.txt"), json!("a.txt")]));
        let error = items("glob('*.csv')", &context).expect_err("no file").to_string();
        assert!(error.contains("`*.csv` matches no file"), "{error}");
    });
    assert!(super::uses_glob("{{ glob(params.x) }}") && !super::uses_glob("range(3)"));
}
