"""lm-eval against `stepwell serve`, against `transformers`, and next to `model.eval`. Started by lm_eval.sh."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from served import served

CLOZE = """task: local_cloze
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{context}}}}"
doc_to_choice: choices
doc_to_target: gold
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_bytes, aggregation: mean, higher_is_better: true}}
"""
# The same file by a step of our own.
STEP = """name = "own"
[[step]]
id = "import"
kind = "model.import"
with = {{ source = "{model}" }}
[[step]]
id = "eval"
kind = "model.eval"
with = {{ model = "{{{{ steps.import.outputs.model }}}}", tasks = [{{ name = "local_cloze", choices = "{file}" }}] }}
"""
TEXT = """task: local_text
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{page}}}}"
metric_list:
  - {{metric: bits_per_byte}}
  - {{metric: word_perplexity}}
"""
# Accuracies are counts; likelihoods are sums of f32 in two orders.
TOLERANCE = {"acc": 0.0, "acc_norm": 0.0, "acc_bytes": 0.0, "bits_per_byte": 1e-4, "word_perplexity": 1e-2}


def write_tasks(folder, text, items):
    lines = [line.strip() for line in text.splitlines()]
    pages = [line for line in lines if len(line) > 300][: max(items // 3, 1)]
    sentences = [part for line in lines for part in line.split(". ") if 60 < len(part) < 140][: 3 * items]
    halves = [(" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])) for words in map(str.split, sentences)]
    if len(halves) < items or not pages:
        sys.exit("the text is too short: it needs sentences and paragraphs of English")
    documents = []
    for number in range(items):
        wrong = [halves[(number + step) % len(halves)][1] for step in (7, 13, 29)]
        gold = number % 4
        choices = [*wrong[:gold], halves[number][1], *wrong[gold:]]
        documents.append({"context": halves[number][0], "choices": choices, "gold": gold})
    for name, rows, task in (("cloze", documents, CLOZE), ("text", [{"page": page} for page in pages], TEXT)):
        file = folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / f"{name}.yaml").write_text(task.format(file=file))


def evaluate(tasks, out, *words, **variables):
    command = [sys.executable, "-m", "lm_eval", "run", "--tasks", "local_cloze,local_text", "--include_path", tasks, "--output_path", out, *words]
    subprocess.run([str(word) for word in command], check=True, env=os.environ | {"HF_HUB_OFFLINE": "1"} | variables, stdout=sys.stderr)
    (found,) = pathlib.Path(out).rglob("results_*.json")
    results = json.loads(found.read_text())["results"].values()
    return {name.split(",")[0]: value for task in results for name, value in task.items() if name.split(",")[0] in TOLERANCE}


def own_numbers(stepwell, model, folder):
    (folder / "own.toml").write_text(STEP.format(model=model, file=folder / "tasks/cloze.jsonl"))
    ran = subprocess.run([stepwell, "run", "own.toml", "--output", "json"], cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    (finished,) = [line for line in map(json.loads, ran.stdout.splitlines()) if line.get("type") == "finished"]
    (values,) = [step["values"] for step in finished["steps"] if step["id"] == "eval"]
    return values["tasks"]["local_cloze"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stepwell", required=True)
    parser.add_argument("--model", required=True, type=pathlib.Path)
    parser.add_argument("--text", required=True, type=pathlib.Path)
    parser.add_argument("--items", type=int, default=24)
    options = parser.parse_args()
    model = options.model.resolve()
    with tempfile.TemporaryDirectory() as folder, served(options.stepwell, "--model", f"m={model}") as server:
        folder = pathlib.Path(folder)
        tasks = folder / "tasks"
        tasks.mkdir()
        write_tasks(tasks, options.text.read_text(), options.items)
        # As token ids, so that the token that starts a text is that token: in a string it would be text.
        settings = f"model=m,base_url={server.url}/v1/completions,tokenizer={model},tokenizer_backend=huggingface"
        settings += ",num_concurrent=4,tokenized_requests=True,max_length=2049"
        ours = evaluate(tasks, folder / "ours", "--model", "local-completions", "--model_args", settings, OPENAI_API_KEY=server.token)
        settings = f"pretrained={model},dtype=float32,max_length=2048"
        theirs = evaluate(tasks, folder / "theirs", "--model", "hf", "--model_args", settings, "--device", "cpu")
        own = own_numbers(os.path.abspath(options.stepwell), model, folder)
    print(f"{'metric':<16}{'served':>12}{'model.eval':>12}{'transformers':>14}")
    different = 0
    for name, tolerance in TOLERANCE.items():
        # `model.eval` is asked for the choices only.
        found = [ours[name], *([own[name]] if name in own else [])]
        equal = all(abs(value - theirs[name]) <= tolerance for value in found)
        different += not equal
        shown = f"{found[1]:>12.5f}" if len(found) > 1 else f"{'':>12}"
        print(f"{name:<16}{found[0]:>12.5f}{shown}{theirs[name]:>14.5f}{'' if equal else '  DIFFERENT'}")
    sys.exit(1 if different else 0)


main()
