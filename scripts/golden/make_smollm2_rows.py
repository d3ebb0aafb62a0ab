"""make_smollm2_rows.py FOLDER OUT [ROWS]: greedy answers of `transformers` in f32 to many rows, for the same test.

Sixteen rows at a time, padded on the left. A row whose two likeliest tokens are nearly equal somewhere is computed again
alone, because padding changes last bits. OUT gets sixteen tokens per row, little-endian u16; a partial OUT is continued.
Made with transformers 5.24:

    nice -n 19 python make_smollm2_rows.py FOLDER ../../crates/inference/tests/smollm2_rows.bin 1000
"""

import pathlib
import struct
import sys

import torch

from make_smollm2 import load, prompt

TOKENS = 16
BATCH = 16
# Far above the differences between batched and single rows, about 1e-4.
NEAR = 0.01


def answers(model, prompts):
    """Tokens of each prompt, and the smallest distance of the two likeliest ones."""
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    with torch.inference_mode():
        output = model.generate(ids, attention_mask=mask, max_new_tokens=TOKENS, do_sample=False, pad_token_id=0,
                                repetition_penalty=1.0, return_dict_in_generate=True, output_logits=True)
    top = torch.stack([logits.topk(2).values for logits in output.logits])
    return output.sequences[:, width:].tolist(), (top[..., 0] - top[..., 1]).amin(0).tolist()


def main():
    folder, out, rows = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    tokenizer, model = load(folder)
    alone = 0
    done = out.stat().st_size // (2 * TOKENS) if out.exists() else 0
    with out.open("ab") as file:
        for first in range(done, rows, BATCH):
            prompts = [prompt(tokenizer, row) for row in range(first, min(first + BATCH, rows))]
            found, distances = answers(model, prompts)
            for index, distance in enumerate(distances):
                if distance < NEAR:
                    alone += 1
                    again = answers(model, prompts[index:index + 1])[0][0]
                    print(f"row {first + index}: {distance:.1e}, {'equal' if again == found[index] else 'DIFFERS'} alone")
                    found[index] = again
            file.write(b"".join(struct.pack(f"<{TOKENS}H", *tokens) for tokens in found))
            file.flush()
            print(f"{first + len(prompts)} rows, {alone} alone", file=sys.stderr, flush=True)


main()
