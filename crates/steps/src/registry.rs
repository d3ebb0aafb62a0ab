//! Registry of the step kinds in this build.

use serde_json::Value;

use stepwell_base::failure::Failure;
use stepwell_workflow::catalog::{Catalog, KindInfo};

use super::StepHandler;

static KINDS: &[&dyn StepHandler] = &[
    &super::CORPUS_IMPORT,
    &super::CORPUS_CLEAN,
    &super::TOKENIZER_TRAIN,
    &super::TOKENIZE,
    &super::SFT_TOKENIZE,
    &super::PREFERENCES_TOKENIZE,
    #[cfg(feature = "train")]
    &super::PREFERENCES_REFERENCE,
    &super::MODEL_IMPORT,
    &super::MODEL_EVAL,
    &super::MODEL_EXPORT,
    &super::EVAL_COMPARE,
    &super::STUDY_RUNS,
    &super::STUDY_REPORT,
    #[cfg(feature = "train")]
    &super::TRAIN,
    #[cfg(feature = "train")]
    &super::FIND_RATE,
    #[cfg(feature = "train")]
    &super::EVAL,
    #[cfg(feature = "train")]
    &super::GENERATE,
    #[cfg(feature = "train")]
    &super::EXPORT,
    #[cfg(feature = "train")]
    &super::ADAPTER_IMPORT,
    #[cfg(feature = "train")]
    &super::ADAPTER_MERGE,
    &super::constitution::SENTINELS,
    &super::constitution::INSTRUCTIONS,
    &super::constitution::RESPOND,
    &super::constitution::CRITIQUE,
    &super::constitution::REVISE,
    &super::constitution::QUALITY,
    &super::constitution::PAIRS,
    &super::constitution::CALIBRATE,
    &super::constitution::EVALUATE,
    &super::constitution::COMPARE,
    &super::constitution::REPORT,
    &super::INFER,
    &super::INFER_CELLS,
    &super::INFER_MEASURE,
    &super::INFER_MATRIX,
    &super::command::Command,
    &super::noop::Noop,
    &super::waiting::KIND_GATE,
    &super::waiting::KIND_APPROVAL,
    &super::waiting::KIND_SIGNAL,
    &super::waiting::KIND_WORKFLOW,
];

/// All step kinds of this build.
pub fn registry() -> &'static [&'static dyn StepHandler] {
    KINDS
}

/// Finds the handler of a step kind.
pub fn find(kind: &str) -> Option<&'static dyn StepHandler> {
    KINDS.iter().copied().find(|handler| handler.kind() == kind)
}

/// The step kinds as validation and documentation see them.
pub fn catalog() -> Catalog {
    let info = |handler: &&'static dyn StepHandler| KindInfo {
        kind: handler.kind(),
        summary: handler.summary(),
        placement: handler.placement(),
        schema: handler.schema().to_value(),
        gives: handler.gives(),
    };
    Catalog { kinds: KINDS.iter().map(info).collect(), check: Some(check), limits: None }
}

fn check(kind: &str, with: &Value) -> Result<(), Failure> {
    find(kind).map_or(Ok(()), |handler| handler.check(with))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_name_and_a_closed_schema() {
        for (i, handler) in registry().iter().enumerate() {
            assert_eq!(registry().iter().position(|other| other.kind() == handler.kind()), Some(i));
            let schema = handler.schema().to_value();
            assert_eq!(schema["type"], "object", "{}", handler.kind());
            assert_eq!(schema["additionalProperties"], false, "{}", handler.kind());
        }
    }
}
