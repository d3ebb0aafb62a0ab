"""make_smollm2.py FOLDER [ROWS]: greedy answers of `transformers` in f32 for crates/inference/tests/smollm2.rs.

FOLDER is SmolLM2-135M-Instruct as a Hugging Face folder. Two of three prompts are chats. Made with transformers 5.24:

    python make_smollm2.py FOLDER 12 > ../../crates/inference/tests/smollm2.json
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

THINGS = ["the sea", "a small dog", "prime numbers", "the history of Rome", "how to bake bread", "gravity", "a lost key",
          "rivers", "Rust programming", "the moon", "a letter to a friend", "photosynthesis", "chess", "winter",
          "a recipe for soup", "democracy", "volcanoes", "music theory", "a train journey", "bees"]
TEXTS = ["Write a short paragraph about {}.", "Explain {} to a child.", "List three facts about {}.", "What is {}?",
         "Write a poem about {}.", "Give me advice about {}.", "Translate into French: I like {}.",
         "Why is {} important?", "Summarise {} in one sentence.", "Continue the story: Once there was {}"]
TOKENS = 64


def prompt(tokenizer, row):
    """Tokens of a row's prompt."""
    text = TEXTS[row % 10].format(THINGS[row // 10 % 20]) + (f" Use about {10 + row} words." if row >= 200 else "")
    if row % 3 == 2:
        return tokenizer(text)["input_ids"]
    return tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True)["input_ids"]


def load(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None
    return AutoTokenizer.from_pretrained(folder), model


def main():
    folder, rows = sys.argv[1], int(sys.argv[2])
    tokenizer, model = load(folder)
    answers = []
    for row in range(rows):
        tokens = prompt(tokenizer, row)
        ids = torch.tensor([tokens])
        with torch.inference_mode():
            output = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS, do_sample=False,
                                    pad_token_id=0)
        answers.append(dict(prompt=list(tokens), tokens=output[0, len(tokens):].tolist()))
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
