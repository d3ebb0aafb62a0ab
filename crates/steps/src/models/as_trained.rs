//! A model from elsewhere as one that was trained here, if models that are trained here can have its shape.

use super::store::open_model;
use crate::trained_model::TrainedModel;
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;
use stepwell_models::{Model, Part, Place, RopeKind, Shape, tensor_name};
use stepwell_train::model::config::{Ffn, Init, ModelConfig};
use stepwell_train::model::hf_config::SpecialTokens;
use stepwell_train::model::weights::{self, NamedTensor};

/// Standard deviation of initial weights, which such a model no longer has.
const INIT_STD: f32 = 0.02;

/// Reads the output `model` of `model.import`. The weights become f32.
///
/// # Errors
/// When the model is damaged, or has what models that are trained here do not have: the message names all of it.
pub fn read_as_trained(artifacts: &ArtifactStore, model: &ArtifactRef) -> Result<TrainedModel, Failure> {
    let model = open_model(artifacts, model, None)?;
    let config = config(&model.shape).map_err(refused)?;
    let special = special(&model).map_err(|why| refused(vec![why]))?;
    config.validate().map_err(|error| refused(vec![error.to_string()]))?;
    let mut tensors = Vec::new();
    for place in model.shape.places() {
        let tensor = model.tensor(place).map_err(|error| Failure::fatal(error.to_string()))?;
        let shape = if is_vector(place) { vec![tensor.columns] } else { vec![tensor.rows, tensor.columns] };
        tensors.push(NamedTensor { name: tensor_name(place), shape, data: tensor.to_f32() });
    }
    Ok(TrainedModel { config, special, weights: weights::save(tensors) })
}

fn config(shape: &Shape) -> Result<ModelConfig, Vec<String>> {
    let narrow = |window: &Option<usize>| window.is_some_and(|keys| keys < shape.context);
    let more = [
        (shape.qkv_bias, "biases of queries, keys and values"),
        (shape.output_bias, "biases of the attention's output"),
        (shape.mlp_bias, "biases of the feed-forward network"),
        (!shape.tied, "an output head that is not the embedding"),
        (shape.windows.iter().any(narrow), "sliding windows"),
        (shape.rope.kind != RopeKind::Default, "rotary positions that are scaled for longer texts"),
    ];
    let more: Vec<String> =
        more.into_iter().filter(|(has, _)| *has).map(|(_, what)| format!("it has {what}")).collect();
    if !more.is_empty() {
        return Err(more);
    }
    Ok(ModelConfig {
        vocab_size: shape.vocab,
        context: shape.context,
        layers: shape.layers,
        d_model: shape.hidden,
        heads: shape.heads,
        kv_heads: shape.kv_heads,
        head_dim: shape.head_dim,
        ffn: Ffn::SwiGlu { hidden: shape.ffn },
        qk_norm: shape.qk_norm,
        rope_theta: shape.rope.theta as f32,
        norm_eps: shape.norm_eps,
        dropout: 0.0,
        init_std: INIT_STD,
        init: Init::default(),
        logit_softcap: 0.0,
    })
}

/// Training puts one token before each document, one after it, and fills rows with a third.
fn special(model: &Model) -> Result<SpecialTokens, String> {
    let special = &model.special;
    let (Some(bos), [eos], Some(pad)) = (special.bos, special.eos.as_slice(), special.pad) else {
        return Err("it does not name one token each for the start of a text, its end, and padding".to_owned());
    };
    Ok(SpecialTokens { bos_token_id: bos, eos_token_id: *eos, pad_token_id: pad })
}

fn is_vector(place: Place) -> bool {
    matches!(
        place,
        Place::FinalNorm | Place::Layer(_, Part::InputNorm | Part::FfnNorm | Part::QueryNorm | Part::KeyNorm)
    )
}

fn refused(why: Vec<String>) -> Failure {
    Failure::fatal(format!(
        "the imported model is not one that `train`, `eval` and `generate` know: {}",
        why.join(", and ")
    ))
    .with_hint("steps of the kinds `infer` and `model.eval` use any imported model")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use crate::tests::{Recorder, TrainingLab};
    use crate::train::TRAIN;
    use crate::{EVAL, EXPORT, GENERATE, MODEL_IMPORT, StepError, TOKENIZE};
    use stepwell_base::artifact::ArtifactRef;

    /// Exports a trained model and imports the folder.
    fn round_trip(lab: &TrainingLab, model: &ArtifactRef) -> [ArtifactRef; 2] {
        let with = json!({ "model": model, "tokenizer": lab.tokenizer });
        let exported = lab.run_once(&EXPORT, with);
        let folder = lab.steps.directory.path().join("exported");
        lab.artifacts.materialise(&exported.artifacts["folder"], &folder).unwrap();
        let imported = lab.steps.run(&MODEL_IMPORT, &json!({ "source": folder })).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        ["model", "tokenizer"].map(|name| imported.artifacts[name].clone())
    }

    #[test]
    fn a_model_that_was_exported_and_imported_is_evaluated_and_trained_like_the_original() {
        let lab = TrainingLab::new();
        let shape = json!({ "preset": "tiny", "layers": 2, "d_model": 16, "heads": 4, "kv_heads": 2, "hidden": 24, "qk_norm": true });
        let trained = lab.run_once(&TRAIN, lab.train_arguments(json!({ "model": shape })));
        let original = &trained.artifacts["model"];
        let [imported, tokenizer] = round_trip(&lab, original);
        // The folder alone is enough: its tokenizer cuts text as the original does.
        let documents: Vec<String> = (0..9)
            .map(|n| json!({ "id": format!("v:{n}"), "text": format!("The child hears the {n} birds.") }).to_string())
            .collect();
        let documents = lab.ndjson(&documents);
        let figures = |model: &ArtifactRef, tokenizer: &ArtifactRef| {
            let tokens = lab.run_once(&TOKENIZE, json!({ "documents": documents, "tokenizer": tokenizer }));
            let validation = &tokens.artifacts["tokens"];
            let with = json!({ "model": model, "tokenizer": tokenizer, "validation": validation, "device": "flex" });
            lab.run_once(&EVAL, with).values
        };
        assert_eq!(figures(&imported, &tokenizer), figures(original, &lab.tokenizer));
        let texts = |model: &ArtifactRef, tokenizer: &ArtifactRef| {
            lab.run_once(&GENERATE, json!({ "model": model, "tokenizer": tokenizer })).artifacts["samples"].clone()
        };
        assert_eq!(texts(&imported, &tokenizer), texts(original, &lab.tokenizer));
        let continued = |model: Option<&ArtifactRef>| {
            let mut with = lab.train_arguments(json!({ "steps": 3 }));
            with.as_object_mut().unwrap().remove("model");
            if let Some(model) = model {
                with["from"] = json!(model);
            }
            lab.run_once(&TRAIN, with)
        };
        let (own, other) = (continued(Some(original)), continued(Some(&imported)));
        let weights = |outputs: &stepwell_base::artifact::Outputs| {
            let tree = lab.artifacts.read_tree(&outputs.artifacts["model"]).unwrap();
            tree.entries["model.safetensors"].digest.clone()
        };
        assert_eq!(weights(&own), weights(&other), "the same bits");
        let loss = |outputs: &stepwell_base::artifact::Outputs| outputs.values["final_loss"].as_f64().unwrap();
        assert!(loss(&own) < loss(&trained), "15 steps are better than 12");
    }

    #[test]
    fn what_a_training_does_not_know_is_named() {
        let lab = TrainingLab::new();
        let trained = lab.run_once(&TRAIN, lab.train_arguments(json!({ "steps": 1 })));
        let both = lab.train_arguments(json!({ "from": trained.artifacts["model"] }));
        assert!(crate::StepHandler::check(&TRAIN, &both).unwrap_err().message.contains("`model` and `from`"));
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/export_tiny");
        let folder = lab.steps.directory.path().join("untied");
        std::fs::create_dir(&folder).unwrap();
        for file in std::fs::read_dir(tiny).unwrap() {
            let path = file.unwrap().path();
            std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
        let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
        let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
        config["rope_parameters"] = json!({ "rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0 });
        std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
        let imported = lab.steps.run(&MODEL_IMPORT, &json!({ "source": folder })).unwrap();
        let with =
            json!({ "model": imported.artifacts["model"], "tokenizer": lab.tokenizer, "validation": lab.validation });
        let Err(StepError::Failed(failure)) = lab.attempt(&EVAL, with, &mut Recorder::default()) else { panic!() };
        assert!(failure.message.contains("rotary positions that are scaled"), "{failure}");
        assert!(failure.hint.unwrap().contains("`infer`"));
    }
}
