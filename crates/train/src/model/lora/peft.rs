//! `adapter_config.json`: the description of adapters that PEFT reads and writes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::{BaseFormat, LoraConfig, Target};

/// File of [`PeftConfig`] in a folder of adapters.
pub const PEFT_CONFIG_FILE: &str = "adapter_config.json";
/// Weights of the adapters in such a folder.
pub const PEFT_WEIGHTS_FILE: &str = "adapter_model.safetensors";

/// The fields of PEFT's `LoraConfig` that Stepwell writes. Fields that it leaves out have PEFT's defaults.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PeftConfig {
    peft_type: &'static str,
    task_type: &'static str,
    base_model_name_or_path: Option<String>,
    r: usize,
    lora_alpha: f64,
    lora_dropout: f32,
    target_modules: Vec<&'static str>,
    use_rslora: bool,
    use_dora: bool,
    bias: &'static str,
    fan_in_fan_out: bool,
    init_lora_weights: bool,
    modules_to_save: Option<Vec<String>>,
    inference_mode: bool,
}

/// Adapters that Stepwell does not have.
#[derive(Debug, thiserror::Error)]
pub enum PeftError {
    #[error("{PEFT_CONFIG_FILE} cannot be read")]
    Json(#[from] serde_json::Error),
    #[error("its `{field}` is {found}; Stepwell reads {expected}")]
    Setting { field: &'static str, found: String, expected: &'static str },
    #[error("`target_modules` has `{0}`, which is no matrix of a block")]
    Target(String),
    #[error("{PEFT_WEIGHTS_FILE} has no adapter of a block")]
    Nothing,
}

/// What Stepwell reads of the file.
#[derive(Deserialize)]
struct Fields {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f32,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    target_modules: Value,
}

/// Settings that change what adapters compute, with the values that change nothing.
const PLAIN: [(&str, &str, &[&str]); 11] = [
    ("use_dora", "false", &["false", "null"]),
    ("bias", "\"none\"", &["\"none\"", "null"]),
    ("fan_in_fan_out", "false", &["false", "null"]),
    ("modules_to_save", "none", &["null", "[]"]),
    ("rank_pattern", "none", &["{}", "null"]),
    ("alpha_pattern", "none", &["{}", "null"]),
    ("layers_to_transform", "none", &["null", "[]"]),
    ("layer_replication", "none", &["null", "[]"]),
    ("lora_bias", "false", &["false", "null"]),
    ("trainable_token_indices", "none", &["null", "[]"]),
    ("target_parameters", "none", &["null", "[]"]),
];

impl PeftConfig {
    /// Describes adapters of the model that `base` names, such as its folder or its name on a hub.
    pub fn new(lora: &LoraConfig, base: Option<String>) -> Self {
        PeftConfig {
            peft_type: "LORA",
            task_type: "CAUSAL_LM",
            base_model_name_or_path: base,
            r: lora.r,
            lora_alpha: lora.alpha,
            lora_dropout: lora.dropout,
            target_modules: lora.targets.iter().map(|target| target.name()).collect(),
            use_rslora: lora.rslora,
            use_dora: false,
            bias: "none",
            fan_in_fan_out: false,
            init_lora_weights: true,
            modules_to_save: None,
            inference_mode: true,
        }
    }

    /// The bytes of [`PEFT_CONFIG_FILE`].
    pub fn to_file(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("the settings have string keys only")
    }

    /// Reads the settings of adapters whose file of weights has tensors of these names.
    ///
    /// # Errors
    /// For another kind of adapters than LoRA of whole blocks, with the setting that differs.
    pub fn read<'a>(file: &[u8], tensors: impl Iterator<Item = &'a str>) -> Result<LoraConfig, PeftError> {
        let all: Value = serde_json::from_slice(file)?;
        let fields: Fields = serde_json::from_value(all.clone())?;
        if fields.peft_type != "LORA" {
            return Err(PeftError::Setting { field: "peft_type", found: fields.peft_type, expected: "`LORA`" });
        }
        for (field, expected, plain) in PLAIN {
            let found = all.get(field).unwrap_or(&Value::Null).to_string();
            if !plain.contains(&found.as_str()) {
                return Err(PeftError::Setting { field, found: shortened(found), expected });
            }
        }
        let targets = match &fields.target_modules {
            Value::Array(names) => named(names)?,
            // A word, a pattern, or none: the weights tell which matrices have adapters.
            _ => adapted(tensors)?,
        };
        let Fields { r, lora_alpha: alpha, lora_dropout: dropout, use_rslora: rslora, .. } = fields;
        Ok(LoraConfig { r, alpha, dropout, rslora, targets, base: BaseFormat::F32 })
    }
}

fn shortened(text: String) -> String {
    if text.chars().count() <= 60 { text } else { text.chars().take(57).chain("...".chars()).collect() }
}

fn named(names: &[Value]) -> Result<Vec<Target>, PeftError> {
    let target = |name: &Value| {
        let text = name.as_str().unwrap_or_default();
        Target::named(text).ok_or_else(|| PeftError::Target(shortened(name.to_string())))
    };
    let mut targets = names.iter().map(target).collect::<Result<Vec<_>, _>>()?;
    targets.sort_unstable();
    targets.dedup();
    Ok(targets)
}

fn adapted<'a>(tensors: impl Iterator<Item = &'a str>) -> Result<Vec<Target>, PeftError> {
    let names: Vec<&str> = tensors.collect();
    let has = |target: &Target| names.iter().any(|name| name.contains(&format!(".{}.lora_A.", target.part())));
    let targets: Vec<Target> = Target::ALL.into_iter().filter(has).collect();
    if targets.is_empty() { Err(PeftError::Nothing) } else { Ok(targets) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(change: Value) -> Result<LoraConfig, PeftError> {
        let mut file = json!({
            "peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["v_proj", "q_proj"], "bias": "none",
            "use_dora": false, "rank_pattern": {}, "modules_to_save": null, "revision": null,
        });
        file.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let names = ["base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"];
        PeftConfig::read(file.to_string().as_bytes(), names.into_iter())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let targets = vec![Target::QProj, Target::OProj, Target::DownProj];
        let lora = LoraConfig { r: 8, alpha: 12.5, dropout: 0.05, rslora: true, targets, base: BaseFormat::F32 };
        let file = PeftConfig::new(&lora, Some("some/model".to_owned())).to_file();
        assert_eq!(PeftConfig::read(&file, std::iter::empty()).unwrap(), lora);
    }

    #[test]
    fn targets_are_a_list_a_word_or_in_the_weights() {
        assert_eq!(read(json!({})).unwrap().targets, [Target::QProj, Target::VProj]);
        assert_eq!(read(json!({ "target_modules": "all-linear" })).unwrap().targets, [Target::UpProj]);
        assert_eq!(read(json!({ "target_modules": ".*up_proj" })).unwrap().targets, [Target::UpProj]);
        let unknown = read(json!({ "target_modules": ["lm_head"] })).unwrap_err();
        assert!(unknown.to_string().contains("lm_head"), "{unknown}");
    }

    #[test]
    fn what_would_compute_something_else_is_refused() {
        for (field, value) in [
            ("use_dora", json!(true)),
            ("bias", json!("all")),
            ("modules_to_save", json!(["embed_tokens"])),
            ("rank_pattern", json!({ "q_proj": 4 })),
            ("layers_to_transform", json!([0])),
            ("peft_type", json!("IA3")),
        ] {
            let refused = read(json!({ field: value })).unwrap_err().to_string();
            assert!(refused.contains(&format!("`{field}`")), "{refused}");
        }
    }
}
