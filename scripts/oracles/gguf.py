"""Loads a GGUF file that `model.export` wrote in llama.cpp, and compares it with the folder that was imported.

    pip install llama-cpp-python torch transformers
    stepwell model import FOLDER; a step `model.export` with `type = "f32"`; `stepwell artifact get RUN/STEP/file FILE.gguf`
    python gguf.py FILE.gguf FOLDER

Token ids must be equal, and so must greedy answers of 24 tokens, unless two logits are within 1e-2.
"""

import sys

import torch
from llama_cpp import Llama
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXTS = ["The capital of France is", "1 2 3 4", "def add(a, b):\n    return", "Caf\u00e9 \u4f60\u597d \U0001f600 is", "Once upon a time, 42 cats"]


def main():
    file, folder = sys.argv[1:3]
    llama = Llama(file, n_ctx=256, n_threads=1, logits_all=True, verbose=False)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    wrong = 0
    for text in TEXTS:
        ids = llama.tokenize(text.encode(), add_bos=False, special=False)
        expected = tokenizer(text, add_special_tokens=False)["input_ids"]
        if ids != expected:
            print(f"{text!r}: token ids {ids}, not {expected}")
            wrong += 1
        llama.reset()
        llama.eval(expected)
        found = torch.tensor(llama.scores[len(expected) - 1])
        with torch.no_grad():
            reference = model(torch.tensor([expected])).logits[0, -1]
        difference = (found - reference).abs().max().item()
        same = found.argmax() == reference.argmax()
        print(f"{text!r}: logits differ by {difference:.2e}, the likeliest token is {'the same' if same else 'ANOTHER'}")
        wrong += int(not same)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
