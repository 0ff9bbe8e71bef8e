#!/usr/bin/env python3
"""Reads what the long form of `tests/identity.rs` printed, and makes the same ids with the Python package `tokenizers`.

    just identity TOKENIZERS SHARDS | tests/identity.py

Each line names a tokenizer file, or a shard and the SHA-256 of the ids of its documents. Those that spell a reserved token are left out: the
tool reads it as text, the package gives the reserved id where it is a piece of the model too.
"""

import hashlib
import io
import json
import os
import struct
import subprocess
import sys

SPELLED = ["</s>", "＜/s＞", "<pad>", "<extra_id_"]


def texts_of(path):
    if path.endswith(".zst"):
        process = subprocess.Popen(["zstd", "-dc", path], stdout=subprocess.PIPE)
        lines = io.TextIOWrapper(process.stdout, encoding="utf-8", newline="\n")
    else:
        lines = open(path, encoding="utf-8", newline="\n")
    for line in lines:
        yield json.loads(line)["text"]


def main():
    import tokenizers
    tokenizer, wrong, compared = None, 0, 0
    for line in sys.stdin:
        if not line.startswith("{"):
            continue
        found = json.loads(line)
        if "tokenizer" in found:
            tokenizer = tokenizers.Tokenizer.from_file(found["tokenizer"])
            tokenizer.no_truncation()
            tokenizer.no_padding()
            tokenizer.encode_special_tokens = True
            print(found["tokenizer"], found["path"])
            continue
        digest, documents, batch = hashlib.sha256(), 0, []

        def take():
            for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
                digest.update(struct.pack(f"<{len(encoding.ids) + 1}I", len(encoding.ids), *encoding.ids))
            batch.clear()

        for text in texts_of(found["shard"]):
            if any(spelled in text for spelled in SPELLED):
                continue
            documents += 1
            batch.append(text)
            if len(batch) == 200:
                take()
        take()
        same = digest.hexdigest() == found["sha256"]
        wrong += not same
        compared += 1
        print(f"  {'equal' if same else 'DIFFERENT'}: {documents} documents of {os.path.basename(found['shard'])}", flush=True)
    print(f"tokenizers {tokenizers.__version__}: {compared} compared, {wrong} different")
    sys.exit(1 if wrong or not compared else 0)


if __name__ == "__main__":
    main()
