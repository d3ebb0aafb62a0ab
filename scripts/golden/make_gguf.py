"""Writes gguf_blocks.safetensors, tiny_{llama,qwen2,qwen3}.gguf and tiny_gguf.json, next to the tests of crates/models.

Blocks are random bytes with the values that the package `gguf` decodes. The tiny files are read by `transformers`, which
says what the tensors are (as FNV-1a digests of their f32 bytes) and how texts are encoded.
"""

import json
import pathlib
import tempfile

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type, GGUFWriter
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/models/src/tests"
BLOCKS = [Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q4_K, Type.Q6_K]
TEXTS = ["Hello, world!", "The cat's 12345 hats  are\n\n\tblue.", "caf\u00e9 \u4f60\u597d \U0001f600", " x ", "", "don't DON'T 3.14159 <|im_end|>?"]
ROWS = {"llama": ["Q8_0", "Q4_0", "Q4_1", "F16", "BF16"], "qwen2": ["Q8_0"], "qwen3": ["Q4_1", "Q4_0", "F16"]}


def digest(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def blocks(rng):
    tensors = {}
    for kind in BLOCKS:
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        raw = rng.integers(0, 256, (6, size), dtype=np.uint8)
        # Scales are f16 numbers of ordinary size; a random one may be infinite.
        places = {Type.Q6_K: [208], Type.Q4_1: [0, 2], Type.Q4_K: [0, 2]}.get(kind, [0])
        for place in places:
            raw[:, place:place + 2] = rng.normal(0, 0.01, (6, 1)).astype(np.float16).view(np.uint8)
        tensors[f"{kind.name}.blocks"] = raw
        tensors[f"{kind.name}.values"] = gguf.dequantize(raw, kind).reshape(6, elements)
    save_file(tensors, OUT / "gguf_blocks.safetensors")


def vocabulary():
    """A byte-level BPE of 300 tokens with three special ones."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(["the cat sat on the mat and the hat, hello world, don't they say"] * 50, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    return tokens, [" ".join(merge) for merge in model["merges"]]


def interleaved(rows, heads):
    """The order that llama.cpp's conversion gives the rows of q and k."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def tiny(arch, rng):
    hidden, layers, heads, kv_heads, head_dim, ffn = 32, 1, 4, 2, 8, 32
    if arch == "qwen3":
        head_dim = 16
    tokens, merges = vocabulary()
    path = OUT / f"tiny_{arch}.gguf"
    writer = GGUFWriter(path, arch)
    writer.add_name(f"tiny {arch}")
    writer.add_context_length(128)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    if arch == "qwen3":
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if arch == "llama":
        writer.add_rope_dimension_count(head_dim)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre({"llama": "smollm"}.get(arch, "qwen2"))
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [1] * (len(tokens) - 3))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}")
    kinds = iter(ROWS[arch] * 100)

    def matrix(name, rows, columns, permute=None):
        values = rng.normal(0, 0.05, (rows, columns)).astype(np.float32)
        values = interleaved(values, permute) if permute else values
        kind = Type[next(kinds)]
        if kind == Type.F32:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)

    def vector(name, length, around):
        writer.add_tensor(name, (around + rng.normal(0, 0.1, length)).astype(np.float32))

    matrix("token_embd.weight", len(tokens), hidden)
    vector("output_norm.weight", hidden, 1)
    if arch == "qwen2":
        matrix("output.weight", len(tokens), hidden)
    for layer in range(layers):
        block = f"blk.{layer}"
        swap = (lambda count: count) if arch == "llama" else (lambda count: None)
        matrix(f"{block}.attn_q.weight", heads * head_dim, hidden, swap(heads))
        matrix(f"{block}.attn_k.weight", kv_heads * head_dim, hidden, swap(kv_heads))
        matrix(f"{block}.attn_v.weight", kv_heads * head_dim, hidden)
        matrix(f"{block}.attn_output.weight", hidden, heads * head_dim)
        matrix(f"{block}.ffn_gate.weight", ffn, hidden)
        matrix(f"{block}.ffn_up.weight", ffn, hidden)
        matrix(f"{block}.ffn_down.weight", hidden, ffn)
        vector(f"{block}.attn_norm.weight", hidden, 1)
        vector(f"{block}.ffn_norm.weight", hidden, 1)
        if arch == "qwen2":
            vector(f"{block}.attn_q.bias", heads * head_dim, 0)
            vector(f"{block}.attn_k.bias", kv_heads * head_dim, 0)
            vector(f"{block}.attn_v.bias", kv_heads * head_dim, 0)
        if arch == "qwen3":
            vector(f"{block}.attn_q_norm.weight", head_dim, 1)
            vector(f"{block}.attn_k_norm.weight", head_dim, 1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    config = AutoConfig.from_pretrained(OUT, gguf_file=path.name)
    config.head_dim = head_dim  # `transformers` does not read it for qwen3
    model = AutoModelForCausalLM.from_pretrained(OUT, gguf_file=path.name, config=config, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(OUT, gguf_file=path.name)
    tied = arch != "qwen2"
    tensors = {name: digest(tensor.float().numpy().tobytes()) for name, tensor in model.state_dict().items()
               if not (tied and name == "lm_head.weight")}
    texts = [{"text": text, "ids": tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]} for text in TEXTS]
    return {"tensors": tensors, "texts": texts}


def main():
    rng = np.random.default_rng(7)
    blocks(rng)
    golden = {arch: tiny(arch, rng) for arch in ROWS}
    (OUT / "tiny_gguf.json").write_text(json.dumps(golden, indent=1, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
