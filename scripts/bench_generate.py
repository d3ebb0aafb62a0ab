"""The `transformers` side of `stepwell bench generate`: greedy generation with a cache of keys and values.

FOLDER holds `model/` (Hugging Face files) and `prompts.json`; MODE is f32 or bf16. The request
`generate N` continues the first N prompts and returns the seconds and the new tokens.
"""

import json
import sys
import time
from pathlib import Path

import bench_line

bench_line.need("torch", "transformers")

import torch
import transformers


def main():
    folder, mode, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(threads)
    dtype = torch.bfloat16 if mode == "bf16" else torch.float32
    model = transformers.AutoModelForCausalLM.from_pretrained(folder / "model", dtype=dtype).eval()
    # No token ends a text, as in Stepwell. `min_new_tokens` would do the same, but costs a tenth of the time.
    model.generation_config.eos_token_id = None
    material = json.loads((folder / "prompts.json").read_text())
    count = material["new_tokens"]

    def generate(batch):
        ids = torch.tensor(material["prompts"][:batch])
        options = dict(max_new_tokens=count, do_sample=False, use_cache=True, pad_token_id=0)
        started = time.perf_counter()
        with torch.inference_mode():
            output = model.generate(ids, attention_mask=torch.ones_like(ids), **options)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "tokens": output[:, ids.shape[1] :].tolist()}

    bench_line.serve(f"transformers {transformers.__version__}", {"generate": generate})


if __name__ == "__main__":
    main()
