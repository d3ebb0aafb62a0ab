//! Names of tensors in GGUF files.

use crate::shape::{Part, Place};

fn part_name(part: Part) -> &'static str {
    match part {
        Part::InputNorm => "attn_norm.weight",
        Part::Query => "attn_q.weight",
        Part::QueryBias => "attn_q.bias",
        Part::QueryNorm => "attn_q_norm.weight",
        Part::Key => "attn_k.weight",
        Part::KeyBias => "attn_k.bias",
        Part::KeyNorm => "attn_k_norm.weight",
        Part::Value => "attn_v.weight",
        Part::ValueBias => "attn_v.bias",
        Part::Output => "attn_output.weight",
        Part::OutputBias => "attn_output.bias",
        Part::FfnNorm => "ffn_norm.weight",
        Part::Gate => "ffn_gate.weight",
        Part::GateBias => "ffn_gate.bias",
        Part::Up => "ffn_up.weight",
        Part::UpBias => "ffn_up.bias",
        Part::Down => "ffn_down.weight",
        Part::DownBias => "ffn_down.bias",
    }
}

pub fn name(place: Place) -> String {
    match place {
        Place::Embedding => "token_embd.weight".into(),
        Place::FinalNorm => "output_norm.weight".into(),
        Place::Head => "output.weight".into(),
        Place::Layer(layer, part) => format!("blk.{layer}.{}", part_name(part)),
    }
}

/// The place of a name, if any architecture has it.
pub fn place(name: &str) -> Option<Place> {
    match name {
        "token_embd.weight" => Some(Place::Embedding),
        "output_norm.weight" => Some(Place::FinalNorm),
        "output.weight" => Some(Place::Head),
        _ => {
            let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
            let number = layer.parse().ok().filter(|number: &usize| number.to_string() == layer)?;
            let part = Part::ALL.into_iter().find(|part| part_name(*part) == rest)?;
            Some(Place::Layer(number, part))
        }
    }
}
