use super::*;
use crate::tests::lab::{Lab, Sketch};

const WORKFLOW: &str = r#"
name = "w"
[params]
documents = 10
vocab = 5
seeds = [1]
rate = 0.1
[[step]]
id = "data"
kind = "noop"
with.values = { n = "{{ params.documents }}" }
[[step]]
id = "words"
kind = "noop"
for_each = "params.seeds"
with.values = { data = "{{ steps.data.values.n }}", vocab = "{{ params.vocab }}" }
[[step]]
id = "train"
kind = "noop"
with.values = { words = "{{ steps.words.values.vocab }}", rate = "{{ params.rate }}" }
"#;

#[test]
fn a_param_above_an_input_changes_it() {
    let mut lab = Lab::new();
    lab.run(Sketch { name: "base", workflow: WORKFLOW, ..Sketch::default() });
    lab.engine_dies();
    let found = |set: &[(&str, &str)]| {
        let set: Vec<_> = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let source = EarlierRun::load(&lab.session(), "base", &set).unwrap();
        changing(&source, &"train".into(), "values")
    };
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(found(&[("vocab", "6")]), names(&["vocab"]));
    assert_eq!(found(&[("documents", "11"), ("rate", "0.2")]), names(&["documents"]));
    assert_eq!(found(&[("seeds", "[2]")]), names(&["seeds"]), "its items");
    assert_eq!(found(&[("rate", "0.2")]), None, "it is used in the step only");
    assert_eq!(found(&[("vocab", "5")]), None, "the same value");
}
