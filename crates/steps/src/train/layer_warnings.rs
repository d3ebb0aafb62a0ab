//! Warns of layers that learn nothing or far too fast.

use std::collections::{BTreeMap, BTreeSet};

/// Update in relation to the weights above which a layer changes too fast; about 1e-3 is usual.
const FAST: f64 = 0.1;

/// Warnings that were given; each is given once per attempt.
#[derive(Default)]
pub struct LayerWarnings(BTreeSet<String>);

impl LayerWarnings {
    /// Warnings about the numbers of layers in a training step.
    pub fn of(&mut self, train_step: u64, values: &BTreeMap<String, f64>) -> Vec<String> {
        let mut new = |(name, value): (&String, &f64)| {
            let text = warning(name, *value)?;
            self.0.insert(name.clone()).then(|| format!("training step {train_step}: {text}"))
        };
        values.iter().filter_map(&mut new).collect()
    }
}

fn warning(name: &str, value: f64) -> Option<String> {
    match name.split_once('/')? {
        ("grad_norm", layer) if value == 0.0 => {
            Some(format!("{layer} is dead: no gradient reaches it, so it learns nothing"))
        }
        ("update_ratio", layer) if value > FAST => Some(format!(
            "the update of {layer} is {:.0} % of its weights, where 0.1 % is usual: a lower learning rate or a longer \
             warm-up may help",
            100.0 * value
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_or_hasty_layer_is_named_once() {
        let mut warnings = LayerWarnings::default();
        let values = [
            ("grad_norm/layer.3", 0.0),
            ("grad_norm/layer.4", 1e-12),
            ("update_ratio/layer.3", 0.0),
            ("update_ratio/layer.5", 0.25),
            ("val_loss", 0.0),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), value)).into();
        let found = warnings.of(7, &values);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("training step 7: layer.3 is dead") && found[1].contains("layer.5 is 25 %"));
        assert!(warnings.of(8, &values).is_empty());
    }
}
