//! `model.export`: writes a model as a GGUF file, which llama.cpp and its many users open.

use std::io::{BufWriter, Write};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::store::open_model;
use crate::corpus_documents::write_failure;
use crate::handler::{StepContext, StepError, StepHandler};
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_models::{GgufType, WriteError};
use stepwell_workflow::catalog::{Given, Gives};

pub struct ModelExport;
pub static MODEL_EXPORT: ModelExport = ModelExport;

/// Arguments of the `model.export` step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Output `model` of `model.import` or `train`, or `folder` of `export`.
    model: ArtifactRef,
    /// Tokenizer of a model that was trained here.
    tokenizer: Option<ArtifactRef>,
    /// Element type of the matrices.
    #[serde(default, rename = "type")]
    kind: ElementType,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ElementType {
    F32,
    F16,
    /// Eight bits and a scale for each 32 elements.
    #[default]
    #[serde(rename = "q8_0")]
    Q8,
}

impl StepHandler for ModelExport {
    fn kind(&self) -> &'static str {
        "model.export"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "write a model as a GGUF file"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[("file", "GGUF file")]),
            values: Given::Named(&[("parameters", "number of weights"), ("bytes", "size of the file")]),
        }
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        let model = open_model(context.artifacts, &arguments.model, arguments.tokenizer.as_ref())?;
        let kind = match arguments.kind {
            ElementType::F32 => GgufType::F32,
            ElementType::F16 => GgufType::F16,
            ElementType::Q8 => GgufType::Q8_0,
        };
        let mut writer = BufWriter::new(context.artifacts.writer("application/octet-stream")?);
        model.write_gguf(kind, &mut writer).map_err(failure)?;
        writer.flush().map_err(|error| failure(WriteError::Io(error)))?;
        let writer = writer.into_inner().map_err(|error| failure(WriteError::Io(error.into_error())))?;
        let file = writer.finish()?;
        let values = json!({ "parameters": model.shape.parameters(), "bytes": file.size });
        Ok(Outputs::of([("file", file)], values))
    }
}

fn failure(error: WriteError) -> Failure {
    match error {
        WriteError::Io(error) => write_failure("the GGUF file", &error),
        model => Failure::from_error(FailureKind::Fatal, &model)
            .with_hint("`export` writes a Hugging Face folder, which has no such limits"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;
    use stepwell_models::{Model, ModelFiles};

    use super::*;
    use crate::MODEL_IMPORT;
    use crate::tests::StepLab;

    #[test]
    fn an_imported_model_is_written_and_read_again() {
        let lab = StepLab::new();
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/export_tiny");
        let imported = lab.run(&MODEL_IMPORT, &json!({ "source": tiny })).unwrap();
        let exported = lab.run(&MODEL_EXPORT, &json!({ "model": imported.artifacts["model"], "type": "f32" })).unwrap();
        let path = lab.artifacts.verified_path(&exported.artifacts["file"]).unwrap();
        let written = Model::from_files(&ModelFiles::from_iter([("x.gguf".to_owned(), path)])).unwrap();
        let model = open_model(&lab.artifacts, &imported.artifacts["model"], None).unwrap();
        for place in model.shape.places() {
            assert_eq!(written.tensor(place).unwrap().to_f32(), model.tensor(place).unwrap().to_f32(), "{place:?}");
        }
        let text = "The teacher sees 12 cats.";
        assert_eq!(written.tokenizer.encode_text(text).unwrap(), model.tokenizer.encode_text(text).unwrap());
    }
}
