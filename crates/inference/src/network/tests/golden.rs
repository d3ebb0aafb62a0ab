//! Models of `transformers`, see `scripts/golden/make_inference.py`.

use stepwell_base::rng::Rng;
use stepwell_models::{Part, Place, Rope, RopeKind, Shape};

use crate::cache::{BLOCK_TOKENS, BlockLayout, Pool};
use crate::cpu::Instructions;
use crate::kernels::{CacheForm, Dtype, Workers, largest};
use crate::network::{Forward, Network, Source, Span, Wanted};

/// A model whose weights are a function of their name.
struct Named(Shape);

impl Named {
    fn shapes() -> Vec<(&'static str, Shape)> {
        let common = Shape {
            vocab: 90,
            hidden: 48,
            layers: 3,
            heads: 4,
            kv_heads: 2,
            head_dim: 12,
            ffn: 80,
            context: 256,
            norm_eps: 1e-6,
            rope: Rope { theta: 10_000.0, dim: 12, kind: RopeKind::Default },
            qkv_bias: false,
            output_bias: false,
            mlp_bias: false,
            qk_norm: false,
            tied: true,
            windows: vec![None; 3],
        };
        let llama3 = RopeKind::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 32 };
        let llama =
            Shape { norm_eps: 1e-5, tied: false, rope: Rope { kind: llama3, ..common.rope.clone() }, ..common.clone() };
        let mistral = Shape { norm_eps: 1e-5, tied: false, windows: vec![Some(9); 3], ..common.clone() };
        let qwen3_rope = Rope { dim: 20, ..common.rope.clone() };
        vec![
            ("llama", llama),
            ("llama with biases", Shape { qkv_bias: true, output_bias: true, mlp_bias: true, ..common.clone() }),
            ("mistral", mistral),
            ("qwen2", Shape { qkv_bias: true, ..common.clone() }),
            ("qwen3", Shape { qk_norm: true, head_dim: 20, rope: qwen3_rope, ..common }),
        ]
    }
}

fn name(place: Place) -> String {
    let (layer, part) = match place {
        Place::Embedding => return "model.embed_tokens.weight".into(),
        Place::FinalNorm => return "model.norm.weight".into(),
        Place::Head => return "lm_head.weight".into(),
        Place::Layer(layer, part) => (layer, part),
    };
    let part = match part {
        Part::InputNorm => "input_layernorm.weight",
        Part::Query => "self_attn.q_proj.weight",
        Part::Key => "self_attn.k_proj.weight",
        Part::Value => "self_attn.v_proj.weight",
        Part::QueryBias => "self_attn.q_proj.bias",
        Part::KeyBias => "self_attn.k_proj.bias",
        Part::ValueBias => "self_attn.v_proj.bias",
        Part::QueryNorm => "self_attn.q_norm.weight",
        Part::KeyNorm => "self_attn.k_norm.weight",
        Part::Output => "self_attn.o_proj.weight",
        Part::OutputBias => "self_attn.o_proj.bias",
        Part::FfnNorm => "post_attention_layernorm.weight",
        Part::Gate => "mlp.gate_proj.weight",
        Part::Up => "mlp.up_proj.weight",
        Part::Down => "mlp.down_proj.weight",
        Part::GateBias => "mlp.gate_proj.bias",
        Part::UpBias => "mlp.up_proj.bias",
        Part::DownBias => "mlp.down_proj.bias",
    };
    format!("model.layers.{layer}.{part}")
}

impl Source for Named {
    fn shape(&self) -> &Shape {
        &self.0
    }

    fn row_into(&self, place: Place, row: usize, out: &mut [f32]) {
        /// Step of SplitMix64, to start in the middle.
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let name = name(place);
        // FNV-1a.
        let seed = name
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325_u64, |seed, byte| (seed ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
        let mut rng = Rng::new(seed.wrapping_add(STEP.wrapping_mul((row * out.len()) as u64)));
        for value in out {
            let number = (rng.next_u64() >> 40) as f32 / 16_777_216.0 - 0.5;
            *value = if name.contains("norm") { number * 0.25 + 1.0 } else { number };
        }
    }
}

fn logits(
    network: &Network,
    forward: &mut Forward,
    workers: &Workers,
    tokens: &[u32],
    pool: &mut Pool,
) -> Vec<Vec<f32>> {
    let blocks: Vec<u32> = (0..tokens.len().div_ceil(BLOCK_TOKENS) as u32).collect();
    let span = Span { tokens, first: 0, blocks: &blocks, wanted: Wanted::All, extended: false };
    forward.run(workers, network, pool, &[span]);
    forward.logits(workers, network, 0..tokens.len()).iter().map(<[f32]>::to_vec).collect()
}

#[test]
fn logits_and_tokens_are_those_of_transformers() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("golden.json")).unwrap();
    let prompt: Vec<u32> = serde_json::from_value(golden["prompt"].clone()).unwrap();
    let workers = Workers::new(2, Instructions::all()[0]);
    for (name, shape) in Named::shapes() {
        let network = Network::load(&workers, Dtype::F32, &Named(shape), 256).unwrap();
        let (mut forward, sizes) = (Forward::default(), *network.sizes());
        let layout = BlockLayout { heads: sizes.heads, layers: sizes.layers, form: CacheForm::Single };
        let mut pool = Pool::new(1 << 22, layout, workers.lanes()).unwrap();
        let expected = &golden["models"][name];
        let found = logits(&network, &mut forward, &workers, &prompt, &mut pool);
        for (row, expected) in expected["logits"].as_object().unwrap() {
            let expected: Vec<f32> = serde_json::from_value(expected.clone()).unwrap();
            assert_eq!(expected.len(), 90);
            for (found, expected) in found[row.parse::<usize>().unwrap()].iter().zip(expected) {
                assert!((found - expected).abs() < 1e-4, "{name}, token {row}: {found} is not {expected}");
            }
        }
        let mut tokens = prompt.clone();
        let expected: Vec<u32> = serde_json::from_value(expected["tokens"].clone()).unwrap();
        for _ in 0..expected.len() {
            let found = logits(&network, &mut forward, &workers, &tokens, &mut pool);
            tokens.push(largest(Instructions::all()[0], &found[tokens.len() - 1]) as u32);
        }
        assert_eq!(tokens[prompt.len()..], expected, "{name}");
    }
}
