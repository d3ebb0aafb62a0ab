"""Checks that an exported folder gives the same logits and perplexity in `transformers` as in Stepwell.

usage: check_export.py EXPORT_DIR --make-ids TEXT --ids-json OUT    writes token windows of a text
       check_export.py EXPORT_DIR [--ids-json IDS] --logits JSON    compares; exits 1 on a difference
       check_export.py --make-golden OUT                            writes the fixture export_tiny

README.md defines the two JSON formats. Exits 0 when the folder is equal, 1 when not, 2 when an input
cannot be used.
"""

import argparse
import json
import math
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

LIMIT = 1e-4


class Unusable(Exception):
    """An input that is missing or does not have the form in README.md."""


def read_json(path):
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unusable(f"{path}: {error}") from error


def open_export(folder):
    """The model in float32 and the tokenizer; refuses missing or extra weights."""
    if not (Path(folder) / "config.json").is_file():
        raise Unusable(f"{folder} has no config.json")
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
    )
    problems = {key: sorted(map(str, value)) for key, value in info.items() if value}
    return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True), problems


@torch.no_grad()
def logits_of(model, window):
    """[seq, vocab] of one window without padding."""
    return model(input_ids=torch.tensor([window])).logits[0]


def nll_of(logits, window):
    """[seq - 1] nats: entry i belongs to token i + 1."""
    log_probs = torch.log_softmax(logits[:-1].double(), dim=-1)
    return -log_probs.gather(1, torch.tensor(window[1:])[:, None])[:, 0]


def perplexity(nll):
    values = [value for row in nll for value in row]
    if not values:
        raise Unusable("no window has a second token, so perplexity is undefined")
    return math.exp(math.fsum(values) / len(values))


def check_windows(windows, config):
    if not windows or not all(windows):
        raise Unusable("`windows` is empty or has an empty window")
    for number, window in enumerate(windows):
        if len(window) > config.max_position_embeddings:
            raise Unusable(f"window {number} has {len(window)} tokens, the context {config.max_position_embeddings}")
        if not all(0 <= token < config.vocab_size for token in window):
            raise Unusable(f"window {number} has an id outside of the vocabulary of {config.vocab_size}")


def tokenizer_problems(folder, tokenizer, config, windows):
    """`AutoTokenizer` may rebuild a tokenizer by the model type: its ids must be those of the file."""
    plain = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    problems = []
    if plain.get_vocab_size() > config.vocab_size:
        problems.append(f"tokenizer has {plain.get_vocab_size()} tokens, the model {config.vocab_size}")
    for text in ["The cat's  3 mats,\n\tça va? 日本 🙂", *(plain.decode(window) for window in windows[:8])]:
        wanted = plain.encode(text, add_special_tokens=False).ids
        got = tokenizer(text, add_special_tokens=False)["input_ids"]
        if wanted != got:
            problems.append(f"AutoTokenizer ({type(tokenizer).__name__}) encodes {text[:40]!r} as {got[:8]}, "
                            f"tokenizer.json as {wanted[:8]}: set tokenizer_class in tokenizer_config.json")
            break
        if (back := tokenizer.decode(got)) != plain.decode(wanted):
            problems.append(f"AutoTokenizer decodes {text[:40]!r} as {back[:40]!r}")
            break
    for name in ("bos", "eos", "pad"):
        stated, known = getattr(config, f"{name}_token_id"), getattr(tokenizer, f"{name}_token_id")
        if stated != known:
            problems.append(f"config.json has {name}_token_id {stated}, the tokenizer {known}")
    return problems


def same_shape(ours, theirs):
    return len(ours) == len(theirs) and all(len(a) == len(b) for a, b in zip(ours, theirs))


def compare(folder, ids_json, logits_json):
    stepwell = read_json(logits_json)
    if missing := {"windows", "logits", "nll"} - stepwell.keys():
        raise Unusable(f"{logits_json} has no {', '.join(sorted(missing))}")
    windows = stepwell["windows"]
    if ids_json and read_json(ids_json).get("windows") != windows:
        raise Unusable(f"{logits_json} was made from other windows than {ids_json}")
    model, tokenizer, loading = open_export(folder)
    check_windows(windows, model.config)
    problems = [f"loading: {key}: {value}" for key, value in loading.items()]
    problems += tokenizer_problems(folder, tokenizer, model.config, windows)

    first = logits_of(model, windows[0])
    theirs = [nll_of(logits_of(model, window), window).tolist() for window in windows]
    if len(stepwell["logits"]) != 1 or not same_shape(stepwell["logits"][0], first):
        raise Unusable(f"{logits_json}: `logits` must be [1, {first.shape[0]}, {first.shape[1]}]")
    if not same_shape(stepwell["nll"], theirs):
        raise Unusable(f"{logits_json}: `nll` must have one value less than each window")

    logits_difference = (torch.tensor(stepwell["logits"][0]).double() - first.double()).abs().max().item()
    ours, reference = perplexity(stepwell["nll"]), perplexity(theirs)
    relative = abs(ours - reference) / reference
    nll_difference = max(abs(a - b) for x, y in zip(stepwell["nll"], theirs) for a, b in zip(x, y))
    print(f"{type(model).__name__}, {sum(p.numel() for p in model.parameters())} parameters, {len(windows)} windows, "
          f"{sum(map(len, theirs))} predictions")
    print(f"logits: max abs difference {logits_difference:.3e} (limit {LIMIT:.0e}), range {first.min():.3f} to {first.max():.3f}")
    print(f"nll: max abs difference {nll_difference:.3e}")
    print(f"perplexity: stepwell {ours:.6f}, transformers {reference:.6f}, relative difference {relative:.3e} (limit {LIMIT:.0e})")
    # `not <=` so that NaN is a difference.
    if not logits_difference <= LIMIT:
        problems.append("the logits differ")
    if not relative <= LIMIT:
        problems.append("the perplexity differs")
    for problem in problems:
        print(f"problem: {problem}")
    print("different" if problems else "equal")
    return 1 if problems else 0


def make_ids(folder, text, out, count, length):
    """Evenly spread windows of the text."""
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    ids = tokenizer.encode(Path(text).read_text(encoding="utf-8"), add_special_tokens=False).ids
    length = min(length, read_json(Path(folder) / "config.json")["max_position_embeddings"], len(ids))
    count = min(count, len(ids) // max(length, 1))
    if length < 2 or count < 1:
        raise Unusable(f"{text} is too short")
    stride = (len(ids) - length) // max(count - 1, 1)
    windows = [ids[i * stride : i * stride + length] for i in range(count)]
    Path(out).write_text(json.dumps({"windows": windows}), encoding="utf-8")
    print(f"{out}: {count} windows of {length} tokens")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="the exported folder")
    parser.add_argument("--ids-json", help='`{"windows": [[id, ...], ...]}`, the input of `stepwell model logits`')
    parser.add_argument("--logits", help="the output of `stepwell model logits`")
    parser.add_argument("--make-ids", metavar="TEXT", help="write windows of this text to --ids-json")
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--make-golden", metavar="OUT", help="write a tiny export and its numbers into this folder")
    args = parser.parse_args()
    try:
        if args.make_golden:
            from export_tiny import make_golden
            return make_golden(Path(args.make_golden))
        if args.folder and args.make_ids and args.ids_json:
            return make_ids(args.folder, args.make_ids, args.ids_json, args.windows, args.length)
        if args.folder and args.logits:
            return compare(args.folder, args.ids_json, args.logits)
    except Unusable as error:
        print(error, file=sys.stderr)
        return 2
    parser.print_usage(sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
