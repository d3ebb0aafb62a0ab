"""Supervised tuning by Stepwell and by TRL, step by step. Started by sft.sh.

All examples are in every optimizer step, so that the order in which each side draws them does not matter. Stepwell
also takes them in micro-batches of another size.
"""

import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

TOLERANCE = 1e-4
EXAMPLES = 8
# Steps with all examples in one micro-batch.
AT_ONCE = 5
RATE = 2e-5
WORKFLOW = """name = "tune"

[params]
batch = 2
accumulation = 4
steps = 20

[[step]]
id = "base"
kind = "model.import"
with = {{ source = "{model}" }}

[[step]]
id = "examples"
kind = "sft.tokenize"
with = {{ rows = "rows.jsonl", model = "{{{{ steps.base.outputs.model }}}}" }}

[[step]]
id = "train"
kind = "train"
[step.with]
tokens = ["{{{{ steps.examples.outputs.tokens }}}}"]
tokenizer = "{{{{ steps.base.outputs.tokenizer }}}}"
from = "{{{{ steps.base.outputs.model }}}}"
packing = "none"
context = {context}
batch = "{{{{ params.batch }}}}"
accumulation = "{{{{ params.accumulation }}}}"
steps = "{{{{ params.steps }}}}"
device = "flex"
schedule = {{ kind = "constant", warmup_steps = 0 }}
optimizer = {{ learning_rate = {rate}, weight_decay = 0.0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, clip = 1.0 }}

[[step]]
id = "export"
kind = "export"
with = {{ model = "{{{{ steps.train.outputs.model }}}}", base = "{{{{ steps.base.outputs.model }}}}" }}
"""


def rows():
    """Chats of one and of two answers, and answers of different length."""
    made = []
    for number in range(EXAMPLES):
        answer = ", ".join(str(number * factor) for factor in range(1, 3 + number))
        chat = [{"role": "user", "content": f"Count by {number}. caf\u00e9 \U0001f600"}]
        if number % 2:
            chat += [{"role": "assistant", "content": "How far?"}, {"role": "user", "content": "As far as you like."}]
        made.append({"prompt": chat, "completion": [{"role": "assistant", "content": f"Of course: {answer}."}]})
    return made


def token_file(path):
    """Examples of a token file: ids and mask. The format is in crates/base/src/token_file.rs."""
    data = path.read_bytes()
    _, version, width, documents, tokens = struct.unpack_from("<8sIIQQ", data)
    assert version == 2, "a file with a mask"
    ends = struct.unpack_from(f"<{documents}Q", data, 64)
    at = 64 + 8 * documents
    ids = struct.unpack_from(f"<{tokens}{'H' if width == 2 else 'I'}", data, at)
    mask = data[at + tokens * width :]
    learned = [mask[token // 8] >> (token % 8) & 1 for token in range(tokens)]
    return [(list(ids[a:b]), learned[a:b]) for a, b in zip((0, *ends), ends)]


def stepwell(binary, folder, *words):
    done = subprocess.run([binary, *words], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"stepwell {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def ours(binary, folder, name, batch, steps):
    settings = {"batch": batch, "accumulation": EXAMPLES // batch, "steps": steps}
    words = [word for key, value in settings.items() for word in ("-S", f"{key}={value}")]
    stepwell(binary, folder, "run", "tune.toml", "--name", name, "--quiet", *words)
    listed = json.loads(stepwell(binary, folder, "metrics", name, "train", "--output", "json"))
    rows = [row for series in listed["series"] for row in series["rows"]]
    return [row["loss"] for row in rows]


def theirs(model, folder, made, steps):
    import datasets
    import torch
    import transformers
    import trl

    torch.manual_seed(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    network = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    options = trl.SFTConfig(
        output_dir=str(folder / "trl"), max_steps=steps, per_device_train_batch_size=4,
        gradient_accumulation_steps=EXAMPLES // 4, learning_rate=RATE, lr_scheduler_type="constant", warmup_steps=0,
        weight_decay=0.0, max_grad_norm=1.0, logging_steps=1, save_strategy="no", report_to="none", bf16=False, fp16=False,
        gradient_checkpointing=False, max_length=None, packing=False, use_cpu=True, dataloader_drop_last=True,
        disable_tqdm=True,
    )
    trainer = trl.SFTTrainer(
        model=network, args=options, train_dataset=datasets.Dataset.from_list(made), processing_class=tokenizer
    )
    examples = [(row["input_ids"], [int(label != -100) for label in row["labels"]]) for row in trainer.train_dataset]
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return examples, losses


def stops(folder, made):
    """Greedy answers of the tuned model, with how they end."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ends = []
    for row in made[:4]:
        ids = tokenizer.apply_chat_template(
            row["prompt"], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        answer = network.generate(**ids, max_new_tokens=64, do_sample=False)[0, ids["input_ids"].shape[1] :]
        ends.append(answer[-1].item() == tokenizer.eos_token_id)
    return ends


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stepwell", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    binary, model = os.path.abspath(options.stepwell), os.path.abspath(options.model)
    made = rows()
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
        (folder / "tune.toml").write_text(WORKFLOW.format(model=model, context=160, rate=RATE))
        small = ours(binary, folder, "small", 2, options.steps)
        large = ours(binary, folder, "large", EXAMPLES, AT_ONCE)
        stepwell(binary, folder, "artifact", "get", "small/examples/tokens", "tokens.bin")
        stepwell(binary, folder, "artifact", "get", "small/export/folder", "tuned")
        examples, losses = theirs(model, folder, made, options.steps)
        for number, (own, other) in enumerate(zip(token_file(folder / "tokens.bin"), examples)):
            if list(own[0]) != list(other[0]) or list(own[1]) != list(other[1]):
                problems.append(f"example {number}: ids or mask differ:\n  {own}\n  {other}")
        print(f"{'step':>4} {'2 x 4':>10} {f'{EXAMPLES} x 1':>10} {'TRL':>10}")
        for step, (own, other) in enumerate(zip(small, losses)):
            at_once = f"{large[step]:10.6f}" if step < len(large) else ""
            print(f"{step + 1:4} {own:10.6f} {at_once:>10} {other:10.6f}")
        for name, of, steps in (("TRL", losses, options.steps), (f"micro-batches of {EXAMPLES}", large, AT_ONCE)):
            far = max((abs(a - b) for a, b in zip(small, of)), default=float("nan"))
            print(f"largest difference from {name}: {far:.2e}")
            if len(of) != steps or not far <= TOLERANCE:
                problems.append(f"losses differ from {name} by {far:.2e}, or some are missing")
        ends = stops(folder / "tuned", made)
        print(f"the tuned model ends {sum(ends)} of {len(ends)} answers by itself")
        if not all(ends):
            problems.append("the tuned model does not stop")
    print("\n".join(problems) if problems else "equal")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
