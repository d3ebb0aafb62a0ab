#!/usr/bin/env python3
"""Answers a file of batch requests with ray.data.llm, one shard per step.

`split` cuts the file, `run` answers a shard with Ray, `merge` joins the answers. Each is a step of `batch_ray.toml`: a shard that
was answered is never computed again, whatever is killed.

Needs `pip install 'ray[data]' aiohttp pydantic` for a server, and `pip install 'ray[data,llm]'` for vLLM on GPUs.
"""

import argparse
import hashlib
import json
import os
import pathlib
import sys

ENDPOINTS = ("/v1/chat/completions", "/v1/completions")
# Longest line, as for `stepwell batch`.
LONGEST = 16 << 20


def fail(message):
    sys.exit(f"batch_ray: {message}")


def out(name):
    return pathlib.Path(os.environ.get("STEPWELL_OUTPUT_DIR", ".")) / name


def values(found):
    path = os.environ.get("STEPWELL_VALUES")
    if path:
        pathlib.Path(path).write_text(json.dumps(found))
    print(json.dumps(found))


def progress(done, total, message=""):
    path = os.environ.get("STEPWELL_PROGRESS")
    if path:
        pathlib.Path(path).write_text(f"{done} {total} rows {message}\n")


def lines(path):
    """Numbers and contents of the lines that are not blank."""
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(LONGEST + 1):
            number += 1
            if len(line) > LONGEST:
                fail(f"{path}: line {number} has more than {LONGEST >> 20} MiB")
            if line.strip():
                yield number, line.strip()


def split(args):
    """Cuts the requests into files of at most so many rows."""
    if args.rows < 1:
        fail("--rows is at least 1")
    folder = out("shards")
    folder.mkdir(parents=True, exist_ok=True)
    rows, shard, file = 0, 0, None
    for number, line in lines(args.requests):
        if rows % args.rows == 0:
            if file:
                file.close()
            file, shard = open(folder / f"{shard:06}.jsonl", "w", encoding="utf-8"), shard + 1
        # The text stays as it is; it is judged when its shard runs.
        file.write(json.dumps({"line": number, "text": line.decode("utf-8", "replace")}) + "\n")
        rows += 1
    if not file:
        fail(f"{args.requests} has no requests")
    file.close()
    values({"rows": rows, "shards": shard})


def read(text):
    """The request of a line, and what is wrong with it."""
    try:
        request = json.loads(text)
    except ValueError as error:
        return None, error_row(None, "invalid_json_line", f"This line is not JSON: {error}.")
    custom_id = request.get("custom_id") if isinstance(request, dict) else None
    if not isinstance(custom_id, str) or not custom_id:
        return None, error_row(None, "invalid_custom_id", "The line has no `custom_id`.")
    if request.get("url") not in ENDPOINTS:
        return None, error_row(custom_id, "invalid_url", f"`url` is one of {', '.join(ENDPOINTS)}.")
    if not isinstance(request.get("body"), dict):
        return None, error_row(custom_id, "missing_required_parameter", "The line has no `body`.")
    return request, None


def error_row(custom_id, code, message):
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return {"custom_id": custom_id, "status": 400, "body": {"error": error}}


def answer_line(number, custom_id, status, body):
    """A line in the form of OpenAI's Batch API, with an id that follows from the row."""
    name = hashlib.sha256(f"{number} {custom_id}".encode()).hexdigest()[:32]
    response = {"status_code": status, "request_id": f"req_{name}", "body": body}
    return json.dumps({"id": f"batch_req_{name}", "custom_id": custom_id, "response": response, "error": None}) + "\n"


def session():
    """A session for the HTTP stage of Ray.

    Rows travel through Arrow, which gives all of them the fields of each. So a body and an answer travel as text, and the server
    gets the bytes of the file. A request starts when it is posted: the stage awaits them one after another.
    """
    import asyncio

    import aiohttp

    class Answer(aiohttp.ClientResponse):
        async def json(self, **_):
            return {"status": self.status, "text": await self.text()}

    class Session(aiohttp.ClientSession):
        def post(self, url, *, headers, data):
            body = json.loads(data)["json"].encode()
            return asyncio.ensure_future(super()._request("POST", url, headers=headers, data=body))

    # A row may wait for the model for as long as the step allows.
    return Session(response_class=Answer, timeout=aiohttp.ClientTimeout(total=None, sock_connect=30))


def with_server(args, url, rows):
    """Asks a server that speaks OpenAI's API, such as `stepwell serve`."""
    import ray.data
    from ray.data import llm

    token = os.environ.get("STEPWELL_TOKEN", "")
    config = llm.HttpRequestProcessorConfig(
        url=args.url.rstrip("/") + url,
        headers={"Authorization": f"Bearer {token}"} if token else None,
        batch_size=args.at_once,
        concurrency=1,
        max_retries=args.retries,
        session_factory=session,
    )
    build = getattr(llm, "build_processor", None) or llm.build_llm_processor
    processor = build(
        config,
        preprocess=lambda row: {"payload": {"json": row["body"]}, "place": row["place"]},
        postprocess=lambda row: {"place": row["place"], **row["http_response"]},
    )
    for row in processor(ray.data.from_items(rows)).iter_rows():
        yield int(row["place"]), int(row["status"]), json.loads(row["text"])


def with_vllm(args, url, rows):
    """Computes with vLLM on the GPUs of the cluster."""
    import ray.data
    from ray.data import llm

    is_chat = url == ENDPOINTS[0]
    engine = json.loads(args.engine_kwargs)
    config = llm.vLLMEngineProcessorConfig(
        model_source=args.model,
        engine_kwargs=engine,
        batch_size=args.at_once,
        concurrency=args.replicas,
        chat_template_stage={"enabled": is_chat},
        should_continue_on_error=True,
    )

    def prepare(row):
        body = json.loads(row["body"])
        names = ("temperature", "top_p", "top_k", "min_p", "seed", "stop", "presence_penalty", "frequency_penalty",
                 "repetition_penalty", "ignore_eos")
        sampling = {name: body[name] for name in names if body.get(name) is not None}
        sampling["max_tokens"] = body.get("max_completion_tokens") or body.get("max_tokens") or 16
        asked = {"messages": body["messages"]} if is_chat else {"prompt": body["prompt"]}
        return {**asked, "sampling_params": sampling, "place": row["place"]}

    def finish(row):
        error = row.get("__inference_error__") or ""
        return {
            "place": row["place"], "error": str(error), "said": row.get("generated_text") or "",
            "prompt_tokens": int(row.get("num_input_tokens") or 0), "tokens": int(row.get("num_generated_tokens") or 0),
        }

    build = getattr(llm, "build_processor", None) or llm.build_llm_processor
    processor = build(config, preprocess=prepare, postprocess=finish)
    for row in processor(ray.data.from_items(rows)).iter_rows():
        if row["error"]:
            yield int(row["place"]), 500, error_row(None, "internal_error", row["error"])["body"]
            continue
        usage = {
            "prompt_tokens": row["prompt_tokens"], "completion_tokens": row["tokens"],
            "total_tokens": row["prompt_tokens"] + row["tokens"],
        }
        said = {"message": {"role": "assistant", "content": row["said"]}} if is_chat else {"text": row["said"]}
        kind = "chat.completion" if is_chat else "text_completion"
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": "stop"}
        yield int(row["place"]), 200, {"object": kind, "model": args.model, "choices": [choice], "usage": usage}


def run(args):
    """Answers one shard."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    found = [json.loads(line) for _, line in lines(pathlib.Path(args.shards) / f"{args.shard:06}.jsonl")]
    answers, asked = {}, {}
    for place, entry in enumerate(found):
        request, wrong = read(entry["text"])
        if wrong:
            answers[place] = (wrong["custom_id"], wrong["status"], wrong["body"])
        else:
            answers[place] = (request["custom_id"], None, None)
            # `ensure_ascii` keeps unpaired surrogates, which Arrow refuses, as escapes.
            row = {"place": place, "body": json.dumps(request["body"])}
            asked.setdefault(request["url"], []).append(row)
    progress(0, len(found), "starts Ray")
    if asked:
        import ray
        import ray.data

        quiet = {"log_to_driver": False, "logging_level": "warning"}
        if args.ray_address:
            ray.init(address=args.ray_address, **quiet)
        else:
            ray.init(include_dashboard=False, num_cpus=2, object_store_memory=128 << 20, **quiet)
        ray.data.DataContext.get_current().enable_progress_bars = False
        done = len(found) - sum(map(len, asked.values()))
        answer = with_vllm if args.engine == "vllm" else with_server
        for url, rows in asked.items():
            for place, status, body in answer(args, url, rows):
                answers[place] = (answers[place][0], status, body)
                done += 1
                progress(done, len(found))
        ray.shutdown()
    counts = {"completed": 0, "failed": 0}
    with open(out("output.jsonl"), "w") as good, open(out("errors.jsonl"), "w") as bad:
        for place, entry in enumerate(found):
            custom_id, status, body = answers[place]
            if status is None:
                fail(f"line {entry['line']} has no answer")
            is_good = status == 200
            (good if is_good else bad).write(answer_line(entry["line"], custom_id, status, body))
            counts["completed" if is_good else "failed"] += 1
    values({"rows": len(found), **counts})


def merge(args):
    """Joins the answers of all shards in order, and checks that each row is there once."""
    seen, counts = {}, {"output": 0, "errors": 0}
    for name in counts:
        with open(out(f"{name}.jsonl"), "wb") as joined:
            for part in getattr(args, name):
                for _, line in lines(part):
                    custom_id = json.loads(line)["custom_id"]
                    if custom_id is not None:
                        seen[custom_id] = seen.get(custom_id, 0) + 1
                    joined.write(line + b"\n")
                    counts[name] += 1
    twice = [custom_id for custom_id, times in seen.items() if times > 1]
    if sum(counts.values()) != args.rows:
        fail(f"{sum(counts.values())} lines for {args.rows} rows")
    values({"rows": args.rows, "completed": counts["output"], "failed": counts["errors"], "duplicate_ids": len(twice)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("split")
    verb.add_argument("--requests", required=True)
    verb.add_argument("--rows", type=int, required=True)
    verb.set_defaults(do=split)
    verb = verbs.add_parser("run")
    verb.add_argument("--shards", required=True, help="folder that `split` has made")
    verb.add_argument("--shard", type=int, required=True)
    verb.add_argument("--engine", choices=["http", "vllm"], default="http")
    verb.add_argument("--url", default="http://127.0.0.1:7878", help="server that answers")
    verb.add_argument("--model", default="", help="model for vLLM")
    verb.add_argument("--engine-kwargs", default="{}", help="JSON for vLLM")
    verb.add_argument("--replicas", type=int, default=1, help="copies of vLLM")
    verb.add_argument("--at-once", type=int, default=16)
    verb.add_argument("--retries", type=int, default=8)
    verb.add_argument("--ray-address", default="", help="a cluster; without one, Ray is started for the shard")
    verb.set_defaults(do=run)
    verb = verbs.add_parser("merge")
    verb.add_argument("--output", nargs="+", required=True, help="answers of all shards, in order")
    verb.add_argument("--errors", nargs="+", required=True)
    verb.add_argument("--rows", type=int, required=True)
    verb.set_defaults(do=merge)
    args = parser.parse_args()
    args.do(args)


if __name__ == "__main__":
    main()
