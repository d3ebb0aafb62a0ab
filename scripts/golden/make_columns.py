"""Parquet and Arrow files of the same documents, as pyarrow writes them, for the tests of `crates/columns` and `corpus.import`.

    pip install pyarrow
    python make_columns.py ../../tests/fixtures/golden/columns

`documents.jsonl` has the rows that every file holds: texts and nulls. Files of pages and batches are small, so that there are
several of each.
"""

import json
import random
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

WORDS = "the keys near mill are old and nurse that farmers admire smiles \u00e9t\u00e9 \u4e2d\u6587 \U0001f642 walks".split()


def documents():
    rng = random.Random(7)
    rows = []
    for number in range(48):
        kind = rng.random()
        if kind < 0.1:
            rows.append(None)
        elif kind < 0.15:
            rows.append("")
        elif kind < 0.3:
            rows.append("A text that occurs often.")
        else:
            rows.append(f"{number}: " + " ".join(rng.choices(WORDS, k=rng.randint(1, 24))))
    rows[41] = "long " * 200
    return rows


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    rows = documents()
    with open(out / "documents.jsonl", "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({"text": row}, ensure_ascii=False) + "\n")
    numbers = pa.array([None if n % 3 == 0 else n for n in range(len(rows))], pa.int64())
    texts = pa.array(rows, pa.string())
    tags = pa.array([["a", "b"][: n % 3] for n in range(len(rows))], pa.list_(pa.string()))
    table = pa.table({"id": numbers, "text": texts, "tags": tags})
    small = dict(row_group_size=30, data_page_size=600, write_batch_size=7, store_schema=False)

    def parquet(name, table=table, **more):
        pq.write_table(table, out / f"{name}.parquet", **{**small, **more})

    parquet("snappy", compression="snappy")
    parquet("plain", compression="none", use_dictionary=False, write_page_checksum=True)
    parquet("gzip_dictionary", compression="gzip", version="1.0")
    parquet("zstd_two", compression="zstd", data_page_version="2.0")
    parquet("lz4", compression="lz4", use_dictionary=False)
    delta = dict(use_dictionary=False, compression="zstd")
    parquet("delta", column_encoding={"text": "DELTA_BYTE_ARRAY"}, data_page_version="2.0", **delta)
    parquet("delta_length", column_encoding={"text": "DELTA_LENGTH_BYTE_ARRAY"}, **delta)
    parquet("brotli", table.slice(0, 3), compression="brotli")
    parquet("binary", table.set_column(1, "text", texts.cast(pa.binary())), compression="snappy")
    inner = pa.StructArray.from_arrays([texts, numbers], ["body", "n"], mask=pa.array([row is None for row in rows]))
    nested = pa.table({"id": numbers, "doc": inner})
    parquet("nested", nested, compression="snappy")
    present = [row if row is not None else "" for row in rows]
    required = pa.schema([pa.field("text", pa.string(), nullable=False)])
    parquet("required", pa.table({"text": present}, schema=required), compression="snappy")

    def arrow(name, table=table, stream=False, compression=None):
        opened = ipc.new_stream if stream else ipc.new_file
        options = ipc.IpcWriteOptions(compression=compression)
        with opened(str(out / f"{name}.arrow"), table.schema, options=options) as writer:
            for batch in table.to_batches(max_chunksize=24):
                writer.write_batch(batch)

    arrow("file")
    arrow("stream", stream=True)
    arrow("file_zstd", compression="zstd")
    arrow("stream_lz4", stream=True, compression="lz4")
    arrow("wide", table.set_column(1, "text", texts.cast(pa.large_string())), stream=True, compression="zstd")
    arrow("nested", nested, compression="lz4")
    arrow("dictionary", pa.table({"text": texts.dictionary_encode()}), compression="zstd")
    feather.write_feather(table, str(out / "feather.feather"), compression="lz4", chunksize=24)


if __name__ == "__main__":
    main()
