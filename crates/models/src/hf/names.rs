//! Names of tensors in files of `transformers`.

use crate::shape::{Part, Place};

/// Name of each part within its layer.
fn part_name(part: Part) -> &'static str {
    match part {
        Part::InputNorm => "input_layernorm.weight",
        Part::Query => "self_attn.q_proj.weight",
        Part::QueryBias => "self_attn.q_proj.bias",
        Part::QueryNorm => "self_attn.q_norm.weight",
        Part::Key => "self_attn.k_proj.weight",
        Part::KeyBias => "self_attn.k_proj.bias",
        Part::KeyNorm => "self_attn.k_norm.weight",
        Part::Value => "self_attn.v_proj.weight",
        Part::ValueBias => "self_attn.v_proj.bias",
        Part::Output => "self_attn.o_proj.weight",
        Part::OutputBias => "self_attn.o_proj.bias",
        Part::FfnNorm => "post_attention_layernorm.weight",
        Part::Gate => "mlp.gate_proj.weight",
        Part::GateBias => "mlp.gate_proj.bias",
        Part::Up => "mlp.up_proj.weight",
        Part::UpBias => "mlp.up_proj.bias",
        Part::Down => "mlp.down_proj.weight",
        Part::DownBias => "mlp.down_proj.bias",
    }
}

pub fn name(place: Place) -> String {
    match place {
        Place::Embedding => "model.embed_tokens.weight".into(),
        Place::FinalNorm => "model.norm.weight".into(),
        Place::Head => "lm_head.weight".into(),
        Place::Layer(layer, part) => format!("model.layers.{layer}.{}", part_name(part)),
    }
}

/// The place of a name, if any architecture has it.
pub fn place(name: &str) -> Option<Place> {
    match name {
        "model.embed_tokens.weight" => Some(Place::Embedding),
        "model.norm.weight" => Some(Place::FinalNorm),
        "lm_head.weight" => Some(Place::Head),
        _ => {
            let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
            let number = layer.parse().ok().filter(|number: &usize| number.to_string() == layer)?;
            let part = Part::ALL.into_iter().find(|part| part_name(*part) == rest)?;
            Some(Place::Layer(number, part))
        }
    }
}

/// True for buffers that old files contain and that follow from the configuration.
pub fn is_derived(name: &str) -> bool {
    name.ends_with(".self_attn.rotary_emb.inv_freq")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_a_name_of_its_own_that_leads_back_to_it() {
        let layers = Part::ALL.map(|part| Place::Layer(12, part));
        for place in [Place::Embedding, Place::FinalNorm, Place::Head].into_iter().chain(layers) {
            assert_eq!(super::place(&name(place)), Some(place));
        }
        for other in ["model.layers.01.input_layernorm.weight", "model.layers.1.mlp.weight", "lm_head.bias", ""] {
            assert_eq!(place(other), None, "{other}");
        }
    }
}
