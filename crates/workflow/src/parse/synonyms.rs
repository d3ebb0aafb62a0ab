//! Other names of the usual params, from the tools that people know: `-S lr=0.1` is answered with `learning_rate`.

use serde_json::{Map, Value};

use stepwell_base::suggest;

/// Names of one setting; the first is the one that Stepwell's own workflows use.
const SETTINGS: &[&[&str]] = &[
    &["learning_rate", "lr", "max_lr", "peak_lr", "base_lr", "alpha"],
    &["batch", "batch_size", "bs", "mbs", "micro_batch_size", "train_batch_size", "per_device_train_batch_size"],
    &[
        "accumulation",
        "accum",
        "grad_accum",
        "gradient_accumulation",
        "gradient_accumulation_steps",
        "accumulate_grad_batches",
    ],
    &[
        "context",
        "ctx",
        "block_size",
        "seq_len",
        "seq_length",
        "max_seq_len",
        "sequence_length",
        "context_length",
        "n_ctx",
    ],
    &[
        "corpus",
        "data",
        "dataset",
        "text",
        "texts",
        "input",
        "inputs",
        "files",
        "path",
        "source",
        "train_data",
        "data_dir",
    ],
    &["vocab_size", "vocab", "n_vocab", "vocabulary"],
    &["optimizer", "optim", "opt", "optimiser"],
    &["weight_decay", "wd", "decay"],
    &["schedule", "scheduler", "lr_schedule", "lr_scheduler", "lr_scheduler_type"],
    &["checkpoint_every", "save_every", "save_steps", "save_interval", "checkpoint_interval", "checkpoint_steps"],
    &["keep_checkpoints", "save_total_limit", "keep", "keep_last"],
    &[
        "validation_every",
        "eval_interval",
        "eval_every",
        "eval_steps",
        "val_interval",
        "val_every",
        "val_check_interval",
    ],
    &["no_improvement", "patience", "early_stopping", "early_stopping_patience"],
    &["sample_every", "sample_interval", "sample_steps"],
    &["precision", "dtype", "amp", "fp16", "bf16", "mixed_precision"],
    &["seed", "random_seed", "rng", "rng_seed"],
    &["device", "gpu", "gpus", "cuda", "accelerator"],
    &["validation_fraction", "val_split", "val_fraction", "test_size", "validation_split"],
    &["prompts", "prompt"],
    &["steps", "max_steps", "iters", "iter", "max_iters", "iterations", "num_steps", "train_steps", "num_train_steps"],
    &["model", "preset", "size", "model_name", "architecture", "arch"],
];

/// Names without an exact counterpart: the setting to use, and why.
const REMARKS: &[(&[&str], &str, &str)] = &[
    (
        &["warmup", "warmup_steps", "warmup_iters", "warmup_ratio", "num_warmup_steps"],
        "schedule",
        "the rate rises over the first steps by itself; a workflow of your own sets `schedule = { warmup_steps = N }` of `train`",
    ),
    (
        &["epochs", "epoch", "n_epochs", "num_epochs", "max_epochs", "num_train_epochs"],
        "steps",
        "there are no epochs, `steps` counts optimizer steps",
    ),
    (
        &[
            "layers",
            "n_layer",
            "n_layers",
            "num_layers",
            "depth",
            "d_model",
            "n_embd",
            "dim",
            "hidden_size",
            "heads",
            "n_head",
            "n_heads",
        ],
        "model",
        "a preset sets the shape of the model: `stepwell model describe small` prints one",
    ),
];

/// A param of the workflow that a person probably means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meant<'a> {
    pub param: &'a str,
    /// The reason why a value cannot be taken over, if so.
    pub remark: Option<&'static str>,
}

/// Finds the param that `name` means: the param itself, one with another usual name, or one that is spelled nearly so.
pub fn meant<'a>(params: &'a Map<String, Value>, name: &str) -> Option<Meant<'a>> {
    let name = name.to_lowercase().replace('-', "_");
    let own = |wanted: &str| params.keys().map(String::as_str).find(|param| *param == wanted);
    let plain = |param| Meant { param, remark: None };
    let setting = |group: &&[&str]| group.contains(&name.as_str());
    own(&name)
        .or_else(|| {
            SETTINGS.iter().find(|group| setting(group)).and_then(|group| group.iter().find_map(|other| own(other)))
        })
        .map(plain)
        .or_else(|| {
            let (_, param, remark) = REMARKS.iter().find(|(names, ..)| setting(names))?;
            Some(Meant { param: own(param)?, remark: Some(remark) })
        })
        .or_else(|| suggest::nearest(&name, params.keys().map(String::as_str)).map(plain))
}

/// True for a usual name of a setting, whatever the workflow.
pub fn is_usual(name: &str) -> bool {
    let name = name.to_lowercase().replace('-', "_");
    let groups = SETTINGS.iter().copied().chain(REMARKS.iter().map(|(names, ..)| *names));
    groups.into_iter().any(|group| group.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn usual_names_of_other_tools_find_the_param_that_the_workflow_has() {
        let own =
            json!({ "learning_rate": 1, "batch": 1, "steps": 1, "model": 1, "freeze_layers": 0, "vocab_size": 1 });
        let own = own.as_object().unwrap();
        for (name, param) in [
            ("lr", "learning_rate"),
            ("Learning-Rate", "learning_rate"),
            ("bs", "batch"),
            ("batch-size", "batch"),
            ("max_iters", "steps"),
            ("setps", "steps"),
            ("preset", "model"),
        ] {
            assert_eq!(meant(own, name), Some(Meant { param, remark: None }), "{name}");
        }
        for (name, param) in [("epochs", "steps"), ("n_layer", "model"), ("layers", "model")] {
            let found = meant(own, name).unwrap();
            assert_eq!((found.param, found.remark.is_some()), (param, true), "{name}");
        }
        let theirs = json!({ "lr": 1, "batch_size": 1 });
        let theirs = theirs.as_object().unwrap();
        assert_eq!(meant(theirs, "learning_rate").unwrap().param, "lr");
        assert_eq!(meant(theirs, "bs").unwrap().param, "batch_size");
        assert_eq!((meant(theirs, "corpus"), meant(theirs, "epochs")), (None, None));
        assert!(is_usual("lr") && is_usual("EPOCHS") && !is_usual("name"));
    }

    #[test]
    fn a_name_belongs_to_one_setting() {
        let mut names: Vec<&str> =
            SETTINGS.iter().copied().chain(REMARKS.iter().map(|(names, ..)| *names)).flatten().copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
