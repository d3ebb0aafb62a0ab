"""The `tokenizers` side of `stepwell bench tokenize`.

FOLDER holds `tokenizer.json` and `documents.jsonl`. The request `encode` encodes all documents in
batches and returns the seconds, the bytes of text and a checksum of the ids.
"""

import array
import json
import sys
import time
import zlib
from pathlib import Path

import bench_line

bench_line.need("tokenizers")

import tokenizers

BATCH = 1000


def main():
    folder = Path(sys.argv[1])
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    # Text that spells a special token stays text.
    tokenizer.encode_special_tokens = True
    with open(folder / "documents.jsonl", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    size = sum(len(text.encode()) for text in texts)

    def encode():
        seconds, checksum = 0.0, 0
        for start in range(0, len(texts), BATCH):
            started = time.perf_counter()
            encodings = tokenizer.encode_batch_fast(texts[start : start + BATCH], add_special_tokens=False)
            seconds += time.perf_counter() - started
            for encoding in encodings:
                checksum = zlib.crc32(array.array("I", encoding.ids).tobytes(), checksum)
        return {"seconds": seconds, "bytes": size, "checksum": checksum}

    bench_line.serve(f"tokenizers {tokenizers.__version__}", {"encode": encode})


if __name__ == "__main__":
    main()
