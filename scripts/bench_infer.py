"""The Python side of `stepwell bench infer`: greedy decoding with a cache of keys and values.

FOLDER holds `infer.json`; MODE is `transformers` (a Hugging Face folder, f32) or `llama-cpp` (a GGUF file).
`decode N` computes the first N prompts and a token of each, then times `new_tokens` more; `prefill` times one
long prompt.
"""

import json
import sys
import time
from pathlib import Path

import bench_line


def transformers_handlers(material, threads):
    bench_line.need("torch", "transformers")
    import torch
    import transformers

    torch.set_num_threads(threads)
    model = transformers.AutoModelForCausalLM.from_pretrained(material["model"], dtype=torch.float32).eval()

    def step(ids, cache):
        with torch.inference_mode():
            output = model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return output.logits[:, -1].argmax(-1, keepdim=True), output.past_key_values

    def decode(batch):
        ids, cache = step(torch.tensor(material["prompts"][:batch]), None)
        tokens, started = [ids], time.perf_counter()
        for _ in range(material["new_tokens"]):
            ids, cache = step(ids, cache)
            tokens.append(ids)
        return {"seconds": time.perf_counter() - started, "tokens": torch.cat(tokens, 1).tolist()}

    def prefill():
        started = time.perf_counter()
        ids, _ = step(torch.tensor([material["long_prompt"]]), None)
        return {"seconds": time.perf_counter() - started, "tokens": ids.tolist()}

    return f"transformers {transformers.__version__}", {"decode": decode, "prefill": prefill}


def llama_handlers(material, threads):
    bench_line.need("llama_cpp", "numpy")
    import llama_cpp
    import numpy

    longest = max(len(material["long_prompt"]), len(material["prompts"][0]) + material["new_tokens"]) + 1
    model = llama_cpp.Llama(material["gguf"], n_ctx=longest, n_batch=512, n_threads=threads, n_threads_batch=threads,
                            verbose=False)

    def likeliest():
        logits = llama_cpp.llama_get_logits_ith(model._ctx.ctx, -1)
        return int(numpy.ctypeslib.as_array(logits, shape=(model.n_vocab(),)).argmax())

    def decode(batch):
        model.reset()
        model.eval(material["prompts"][0])
        tokens, started = [likeliest()], time.perf_counter()
        for _ in range(material["new_tokens"]):
            model.eval(tokens[-1:])
            tokens.append(likeliest())
        return {"seconds": time.perf_counter() - started, "tokens": [tokens]}

    def prefill():
        model.reset()
        started = time.perf_counter()
        model.eval(material["long_prompt"])
        return {"seconds": time.perf_counter() - started, "tokens": [[likeliest()]]}

    return f"llama-cpp-python {llama_cpp.__version__}", {"decode": decode, "prefill": prefill}


def main():
    folder, mode, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    material = json.loads((folder / "infer.json").read_text())
    handlers = {"transformers": transformers_handlers, "llama-cpp": llama_handlers}[mode]
    bench_line.serve(*handlers(material, threads))


if __name__ == "__main__":
    main()
