//! Puts adapters beside the weights of a model, and takes them off.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::adapter::{Adapter, BlockAdapters};
use super::config::{BaseFormat, LoraConfig, Target};
use super::nf4::Nf4;
use super::tensors::{AdapterSpec, Side, adapter_specs};
use crate::model::Transformer;
use crate::model::shared::Shared;
use crate::model::weights::{NamedTensor, WeightsError};

impl Transformer {
    /// Freezes all weights and puts trained adapters beside them, in place of those that the model has.
    ///
    /// # Errors
    /// `Missing`, `Shape` or `Unexpected` when the tensors are not those of `lora`.
    pub fn with_adapters(
        self,
        lora: &LoraConfig,
        tensors: &BTreeMap<String, NamedTensor>,
    ) -> Result<Transformer, WeightsError> {
        let specs = adapter_specs(lora, &self.config);
        check(&specs, tensors)?;
        let source = Source { lora, tensors, device: self.device() };
        let is_rounded = self.lora.as_ref().is_some_and(|lora| lora.base == BaseFormat::Nf4);
        let base = match lora.base {
            BaseFormat::Nf4 if !is_rounded => self.without_adapters().in_four_bits()?,
            _ => self.without_adapters(),
        };
        let mut model = base.no_grad();
        for (layer, block) in model.blocks.iter_mut().enumerate() {
            block.lora = Some(source.block(layer));
        }
        model.lora = Some(lora.clone());
        Ok(model)
    }

    /// The model with the matrices of its blocks rounded to four bits, each matrix on its own.
    fn in_four_bits(self) -> Result<Transformer, WeightsError> {
        let round = |tensor: NamedTensor<Shared>| {
            let tensor = tensor.into_host();
            let is_matrix =
                Target::ALL.iter().any(|target| tensor.name.ends_with(&format!("{}.weight", target.part())));
            let data = if is_matrix { Nf4::of(&tensor.data).values() } else { tensor.data };
            (tensor.name.clone(), NamedTensor { data, ..tensor })
        };
        self.with_weights(&self.shared().into_iter().map(round).collect())
    }

    /// The model without its adapters: what it was before they were trained.
    #[must_use]
    pub fn without_adapters(mut self) -> Transformer {
        self.blocks.iter_mut().for_each(|block| block.lora = None);
        self.lora = None;
        self
    }

    /// Settings of the adapters, if the model has any.
    pub fn lora(&self) -> Option<&LoraConfig> {
        self.lora.as_ref()
    }

    /// Adapters under PEFT's names, shared with this model; none if it has none.
    pub fn adapters(&self) -> Vec<NamedTensor<Shared>> {
        let Some(lora) = &self.lora else { return Vec::new() };
        let named = |spec: AdapterSpec| {
            let adapter = self.blocks[spec.layer].lora.as_ref()?.get(spec.target)?;
            let side = match spec.side {
                Side::A => &adapter.a,
                Side::B => &adapter.b,
            };
            Some(NamedTensor { name: spec.name(), shape: spec.shape.to_vec(), data: Shared::parameter(side.val()) })
        };
        adapter_specs(lora, &self.config).into_iter().filter_map(named).collect()
    }

    /// What a training changes: the adapters, or all weights of a model without adapters.
    pub fn trained(&self) -> Vec<NamedTensor<Shared>> {
        if self.lora.is_some() { self.adapters() } else { self.shared() }
    }
}

/// Adapters whose names and shapes were checked.
struct Source<'a> {
    lora: &'a LoraConfig,
    tensors: &'a BTreeMap<String, NamedTensor>,
    device: Device,
}

impl Source<'_> {
    fn block(&self, layer: usize) -> BlockAdapters {
        let of = |target: Target| self.lora.targets.contains(&target).then(|| self.adapter(layer, target));
        BlockAdapters {
            q_proj: of(Target::QProj),
            k_proj: of(Target::KProj),
            v_proj: of(Target::VProj),
            o_proj: of(Target::OProj),
            gate_proj: of(Target::GateProj),
            up_proj: of(Target::UpProj),
            down_proj: of(Target::DownProj),
        }
    }

    fn adapter(&self, layer: usize, target: Target) -> Adapter {
        let matrix = |side| -> Param<Tensor<2>> {
            let name = AdapterSpec { layer, target, side, shape: [0, 0] }.name();
            let tensor = &self.tensors[&name];
            Param::from_data(TensorData::new(tensor.data.clone(), tensor.shape.clone()), &self.device)
        };
        Adapter { a: matrix(Side::A), b: matrix(Side::B), scale: self.lora.scale() }
    }
}

fn check(specs: &[AdapterSpec], tensors: &BTreeMap<String, NamedTensor>) -> Result<(), WeightsError> {
    for spec in specs {
        let name = spec.name();
        let tensor = tensors.get(&name).ok_or_else(|| WeightsError::Missing { name: name.clone() })?;
        if tensor.shape != spec.shape || tensor.data.len() != spec.shape.iter().product::<usize>() {
            let (expected, found) = (spec.shape.to_vec(), tensor.shape.clone());
            return Err(WeightsError::Shape { name, expected, found });
        }
    }
    match tensors.keys().find(|name| !specs.iter().any(|spec| spec.name() == **name)) {
        None => Ok(()),
        Some(name) => Err(WeightsError::Unexpected { name: name.clone() }),
    }
}
