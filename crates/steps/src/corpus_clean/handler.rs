//! Handler of `corpus.clean`. The passes: clean each document; decide on near-duplicates; search contamination; divide.

use serde_json::{Value, json};

use super::accounts::replaced;
use super::across::{contamination, drop_near, near_duplicates};
use super::arguments::Arguments;
use super::contamination::Contamination;
use super::divide::{Divided, Part, divide, split};
use super::first_pass::{Cleaned, Pace, clean};
use super::near::NearDuplicates;
use super::text::Rules;
use crate::handler::{StepContext, StepError, StepHandler, arguments};
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_workflow::catalog::{Given, Gives};

pub struct CorpusClean;
pub static CORPUS_CLEAN: CorpusClean = CorpusClean;

impl StepHandler for CorpusClean {
    fn kind(&self) -> &'static str {
        "corpus.clean"
    }

    fn version(&self) -> u32 {
        3
    }

    fn summary(&self) -> &'static str {
        "normalise, filter and deduplicate documents; split them into training shards and validation"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[
                ("train", "tree of training shards"),
                ("validation", "documents of the held-out part"),
                ("report", "JSON: documents and bytes in and out, what was dropped by which rule, and samples of it"),
            ]),
            values: Given::Named(&[
                ("shards", "number of training shards"),
                ("train_documents", "documents for training"),
                ("validation_documents", "documents held out"),
                ("train_bytes", "bytes of training text"),
                ("validation_bytes", "bytes of held-out text"),
                ("dropped", "number of dropped documents by reason"),
                ("cleaning", "documents and bytes that came in, were dropped by reason, and went out, as a list"),
                ("nfkc", "true when the text has Unicode normalisation form KC"),
                ("nfkc_changed", "texts that the normalisation changed"),
                ("replaced", "number of replaced pieces of personal data by form"),
            ]),
        }
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        arguments::<Arguments>(with)?.rules().map(drop)
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        run_with(context, Pace::default())
    }
}

pub(super) fn run_with(context: &mut StepContext<'_>, pace: Pace) -> Result<Outputs, StepError> {
    let arguments: Arguments = context.arguments()?;
    let rules = arguments.rules()?;
    let mut cleaned = clean(context, &arguments, &rules, pace)?;
    if let Some((from, to)) = &cleaned.accounts.nfkc_example {
        let texts = cleaned.accounts.nfkc_changed;
        let texts = if texts == 1 { "1 text".to_owned() } else { format!("{texts} texts") };
        let example = if from.is_empty() { String::new() } else { format!(", such as `{from}` to `{to}`") };
        context.reporter.note(format!(
            "NFKC changed {texts}{example}; `nfkc = false` keeps text as it was written \
             (with the workflow `pretrain`: `-S nfkc=false`)"
        ));
    }
    let near = near_duplicates(&arguments, &cleaned)?;
    let left = drop_near(context, &mut cleaned, &near)?;
    let split = split(&arguments, left);
    let contamination = contamination(context, &arguments, &mut cleaned, split, &near)?;
    let wanted = |number| !near.like.contains_key(&number);
    let divided = divide(context, &arguments, &cleaned, split, wanted, &contamination.documents)?;
    let outputs = outputs(context, &arguments, &rules, &cleaned, (&near, &contamination), divided)?;
    cleaned.remove();
    Ok(outputs)
}

fn outputs(
    context: &StepContext<'_>,
    arguments: &Arguments,
    rules: &Rules,
    cleaned: &Cleaned,
    (near, contamination): (&NearDuplicates, &Contamination),
    divided: Divided,
) -> Result<Outputs, StepError> {
    let Divided { train, validation, shards, train_ref, validation_ref } = divided;
    let across = near.like.iter().filter(|(document, (kept, _))| !cleaned.sources.same(**document, *kept)).count();
    let replaced = replaced(&arguments.pii, &cleaned.accounts.replaced);
    let report = json!({
        "schema": 1,
        "documents": { "in": cleaned.accounts.read.0, "train": train.documents, "validation": validation.documents },
        "bytes": {
            "in": cleaned.accounts.read.1,
            "normalised": cleaned.accounts.normalised_bytes,
            "train": train.text_bytes,
            "validation": validation.text_bytes,
        },
        "dropped": cleaned.accounts.tally.rows(&rules.thresholds),
        "nfkc_changed": cleaned.accounts.nfkc_changed,
        "replaced": &replaced,
        "near_duplicates": { "within_sources": near.like.len() - across, "across_sources": across },
        "contamination": { "sequences": contamination.sequences, "too_short": contamination.too_short },
    });
    let report = context.publish_json("the report of the cleaning", &report)?;
    let values = json!({
        "shards": shards,
        "train_documents": train.documents,
        "validation_documents": validation.documents,
        "train_bytes": train.text_bytes,
        "validation_bytes": validation.text_bytes,
        "dropped": cleaned.accounts.tally.counts(),
        "cleaning": accounts(cleaned, train, validation),
        "nfkc": arguments.nfkc,
        "nfkc_changed": cleaned.accounts.nfkc_changed,
        "replaced": replaced,
    });
    Ok(Outputs::of([("train", train_ref), ("validation", validation_ref), ("report", report)], values))
}

/// The accounts of the step: what came in, what was dropped and why, and what went out.
fn accounts(cleaned: &Cleaned, train: Part, validation: Part) -> Vec<Value> {
    let row = |what: &str, documents: u64, bytes: u64| json!({ "what": what, "documents": documents, "bytes": bytes });
    let mut rows = vec![
        row("in", cleaned.accounts.read.0, cleaned.accounts.read.1),
        row("after normalisation", cleaned.accounts.read.0, cleaned.accounts.normalised_bytes),
    ];
    let dropped = cleaned.accounts.tally.dropped.iter().filter(|(_, dropped)| dropped.documents > 0);
    rows.extend(dropped.map(|(reason, dropped)| {
        row(&format!("dropped: {}", reason.as_str().replace('_', " ")), dropped.documents, dropped.bytes)
    }));
    rows.push(row("train", train.documents, train.text_bytes));
    rows.push(row("validation", validation.documents, validation.text_bytes));
    rows
}
