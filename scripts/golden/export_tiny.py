"""Writes the fixture export_tiny: a tiny model as an exported folder, with results of `transformers`."""

import json

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import reference as ref
from check_export import logits_of, nll_of, open_export, perplexity

VOCAB, LENGTH, NEW_TOKENS = 288, 16, 12
SPECIALS = ["<pad>", "<bos>", "<eos>"]
# Wide weights make logits of a few units, so 1e-4 is a tight bound.
STD = 0.2
TEXTS = [
    "The small ship sails at dawn, and the sailors sing to the sea.",
    "Nobody knows why the old lighthouse keeper counts the stars each night.",
    "She said that he thinks the ships won't return before the storm.",
    "It's 3 o'clock;  two  spaces,\ta tab,\nand a new line.",
    "Straße, naïve, 日本語, 🙂 and e\u0301.",
    " leading and trailing space ",
]


def train_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB, min_frequency=2, special_tokens=SPECIALS, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    assert tokenizer.get_vocab_size() == VOCAB, tokenizer.get_vocab_size()
    return tokenizer


def greedy(model, prompt):
    """Greedy continuation. Asserts that the best token leads clearly, so float32 noise cannot change it."""
    ids = list(prompt)
    for _ in range(NEW_TOKENS):
        best = logits_of(model, ids)[-1].topk(2)
        assert best.values[0] - best.values[1] > 1e-3
        ids.append(best.indices[0].item())
    generated = model.generate(torch.tensor([prompt]), max_new_tokens=NEW_TOKENS, do_sample=False, use_cache=True)
    assert generated[0].tolist() == ids, "the key-value cache of transformers gives other tokens"
    return ids[len(prompt):]


def make_golden(folder):
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    special = dict(pad_token_id=0, bos_token_id=1, eos_token_id=2)
    ref.randomise(ref.llama(VOCAB, **special), 51, STD).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    ref.write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "bos_token": "<bos>",
        "eos_token": "<eos>", "clean_up_tokenization_spaces": False, "model_max_length": 64,
    })

    model, _, problems = open_export(folder)
    assert not problems, problems
    encoded = [tokenizer.encode(text).ids for text in TEXTS]
    windows = [[1] + ids[: LENGTH - 1] for ids in encoded[:4]]
    nll = [nll_of(logits_of(model, window), window).tolist() for window in windows]
    prompt = windows[0][:5]
    golden = {
        "windows": windows,
        "logits": [logits_of(model, windows[0]).tolist()],
        "nll": nll,
        "perplexity": perplexity(nll),
        "texts": [{"text": text, "ids": ids} for text, ids in zip(TEXTS, encoded)],
        "greedy": {"prompt": prompt, "new": greedy(model, prompt)},
    }
    (folder / "golden.json").write_text(shortest(golden) + "\n", encoding="utf-8")
    for path in sorted(folder.iterdir()):
        print(f"{path.name}: {path.stat().st_size} bytes")
    print(f"perplexity {golden['perplexity']:.4f}, greedy {golden['greedy']}")
    return 0


def shortest(value):
    """JSON with 9 significant digits, which hold every float32 exactly."""
    rounded = json.loads(json.dumps(value), parse_float=lambda text: float(f"{float(text):.9g}"))
    return json.dumps(rounded, ensure_ascii=False, separators=(",", ":"))
