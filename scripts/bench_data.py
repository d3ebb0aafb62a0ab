"""Import, cleaning and tokenising of JSON lines: Stepwell and `datasets` + `tokenizers`, in turns.

    python scripts/bench_data.py --stepwell target/release/stepwell --text wiki.txt --bytes 1000000000 --turns 3

Makes a corpus of random documents from sentences of TEXT, or takes JSONL. Both sides read it, apply NFKC, remove control
characters, drop short documents and exact duplicates, and encode with the same tokenizer, on all cores. Prints seconds, MB/s and
peak memory (the largest process of a side) of every turn, and the medians. `--near 0.8` adds near-duplicates to Stepwell's side.
"""

import argparse
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import unicodedata
from pathlib import Path

WORKFLOW = """
name = "bench-data"
[params]
corpus = ""
near = 0.0
[[step]]
id = "import"
kind = "corpus.import"
with.source = "{{ params.corpus }}"
[[step]]
id = "clean"
kind = "corpus.clean"
with = { documents = "{{ steps.import.outputs.documents }}", min_chars = 20, near_duplicates = "{{ params.near }}", shard_bytes = 67108864, validation_fraction = 0.01 }
[[step]]
id = "tokenizer"
kind = "tokenizer.train"
with = { documents = "{{ steps.clean.outputs.train }}", vocab_size = 4096, max_bytes = 4194304 }
[[step]]
id = "tokenize"
kind = "tokenize"
with = { documents = "{{ steps.clean.outputs.train }}", tokenizer = "{{ steps.tokenizer.outputs.tokenizer }}" }
"""


SYLLABLES = "ba con der el fi gra ho in ju kle lo men nor op pra qui re sta tu un ver wi xa yo zan".split()


def word(rng):
    """A made-up word: text of the world has rare words all over, which no cache of words knows."""
    made = "".join(rng.choices(SYLLABLES, k=rng.randint(2, 4)))
    return made.capitalize() if rng.random() < 0.3 else made


def corpus(path, texts, size):
    """Documents of sentences in random order, one word in twelve replaced; one document in twenty occurred before."""
    rng = random.Random(1)
    sentences = []
    for text in texts:
        parts = Path(text).read_text(encoding="utf-8").replace(" . ", "\n").replace(". ", "\n").split("\n")
        sentences += [part.strip().split() for part in parts if part.strip()]
    written, documents = 0, []
    with open(path, "w", encoding="utf-8") as out:
        while written < size:
            if documents and rng.random() < 0.05:
                document = rng.choice(documents)
            else:
                chosen = rng.choices(sentences, k=rng.randint(3, 40))
                words = [[word(rng) if rng.random() < 1 / 12 else old for old in sentence] for sentence in chosen]
                document = ". ".join(" ".join(sentence) for sentence in words)
                if len(documents) < 1000:
                    documents.append(document)
            line = json.dumps({"text": document}, ensure_ascii=False) + "\n"
            out.write(line)
            written += len(line.encode())


CONTROL = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f]")


def clean(batch):
    return {"text": [CONTROL.sub("", unicodedata.normalize("NFKC", text)) for text in batch["text"]]}


def python_side(jsonl, tokenizer, folder, processes):
    import datasets
    import tokenizers

    datasets.disable_progress_bars()
    # Each document is encoded by one process; threads inside would only compete.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    encoder = tokenizers.Tokenizer.from_file(tokenizer)
    data = datasets.load_dataset("json", data_files=jsonl, split="train", cache_dir=f"{folder}/cache")
    data = data.map(clean, batched=True, num_proc=processes)
    seen = set()

    def is_new(text):
        digest = hash(text)
        if len(text) < 20 or digest in seen:
            return False
        seen.add(digest)
        return True

    data = data.filter(is_new, input_columns="text")

    def encode(batch):
        return {"ids": [encoding.ids for encoding in encoder.encode_batch_fast(batch["text"])]}

    data = data.map(encode, batched=True, num_proc=processes, remove_columns=["text"])
    data.save_to_disk(f"{folder}/tokens")
    return len(data)


def measured(command, **more):
    """Seconds of a command, and the largest memory among its processes in MiB."""
    before = time.perf_counter()
    process = subprocess.Popen(command, **more)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} failed")
    return time.perf_counter() - before, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stepwell", default="target/release/stepwell")
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--text", nargs="+", help="texts to take sentences from")
    parser.add_argument("--jsonl", help="a corpus in place of a random one")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--near", type=float, default=0.0)
    parser.add_argument("--only", choices=["stepwell", "datasets"])
    parser.add_argument("--as-python-side", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    processes = multiprocessing.cpu_count()
    if args.as_python_side:
        print(python_side(*args.as_python_side, processes), file=sys.stderr)
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        print(peak, flush=True)
        return
    folder = Path(tempfile.mkdtemp(prefix="bench-data-"))
    try:
        jsonl = args.jsonl or str(folder / "corpus.jsonl")
        if not args.jsonl:
            corpus(jsonl, args.text, args.bytes)
        size = os.path.getsize(jsonl)
        workflow = folder / "bench-data.toml"
        workflow.write_text(WORKFLOW)
        binary = os.path.abspath(args.stepwell)
        tokenizer = folder / "tokenizer.json"
        results = {"stepwell": [], "datasets": []}
        for turn in range(args.turns):
            state = folder / f"state-{turn}"
            command = [binary, "--state-dir", str(state), "run", str(workflow), "-S", f"corpus={jsonl}", "-S", f"near={args.near}"]
            if args.only != "datasets" or turn == 0:
                seconds, peak = measured(command, stdout=subprocess.DEVNULL)
                results["stepwell"].append((seconds, peak))
                shown = subprocess.run(
                    [binary, "--state-dir", str(state), "show", "last", "--output", "json"], capture_output=True, check=True
                )
                for step in json.loads(shown.stdout)["steps"]:
                    print(f"  {step['id']}: {step['compute_seconds']:.1f} s")
                    if step["id"] == "tokenizer":
                        digest = step["outputs"]["tokenizer"]["digest"]
                        tokenizer.unlink(missing_ok=True)
                        get = [binary, "--state-dir", str(state), "artifact", "get", digest, str(tokenizer)]
                        subprocess.run(get, stdout=subprocess.DEVNULL, check=True)
                shutil.rmtree(state)
            if args.only != "stepwell":
                out = folder / "python"
                command = [sys.executable, __file__, "--as-python-side", jsonl, str(tokenizer), str(out)]
                seconds, peak = measured(command, stdout=subprocess.DEVNULL)
                results["datasets"].append((seconds, peak))
                shutil.rmtree(out)
            for side, turns in results.items():
                if turns:
                    seconds, peak = turns[-1]
                    print(f"turn {turn + 1}, {side}: {seconds:.1f} s, {size / seconds / 1e6:.1f} MB/s, {peak:.0f} MiB", flush=True)
        for side, turns in results.items():
            if turns:
                median = statistics.median(seconds for seconds, _ in turns)
                print(f"{side}: median {median:.1f} s, {size / median / 1e6:.1f} MB/s")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
