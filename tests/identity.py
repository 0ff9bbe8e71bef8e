#!/usr/bin/env python3
"""Reads what the long form of `tests/it/identity.rs` printed, and makes the same ids with the Python packages `tokenizers` and `sentencepiece`.

    just identity TOKENIZERS SHARDS | tests/identity.py

Each line names a tokenizer file, or a shard and the SHA-256 of the ids of its documents. For a `tokenizer.json` those that spell a reserved
token are left out: the tool reads it as text, the package gives the reserved id where it is a piece of the model too.
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


def of_json(path):
    """Texts to ids, by a `tokenizer.json`."""
    import tokenizers
    tokenizer = tokenizers.Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    versions.add(f"tokenizers {tokenizers.__version__}")
    return lambda texts: [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def of_model(path):
    """Texts to ids, by a SentencePiece model."""
    import sentencepiece
    processor = sentencepiece.SentencePieceProcessor(model_file=path)
    versions.add(f"sentencepiece {sentencepiece.__version__}")
    return lambda texts: [processor.encode(text) for text in texts]


versions = set()


def main():
    encode, wrong, compared, is_model = None, 0, 0, False
    for line in sys.stdin:
        if not line.startswith("{"):
            continue
        found = json.loads(line)
        if "tokenizer" in found:
            is_model = found["tokenizer"].endswith(".model")
            encode = (of_model if is_model else of_json)(found["tokenizer"])
            print(found["tokenizer"], found["path"])
            continue
        digest, documents, batch = hashlib.sha256(), 0, []

        def take():
            for ids in encode(batch):
                digest.update(struct.pack(f"<{len(ids) + 1}I", len(ids), *ids))
            batch.clear()

        for text in texts_of(found["shard"]):
            if not is_model and any(spelled in text for spelled in SPELLED):
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
    print(f"{', '.join(sorted(versions))}: {compared} compared, {wrong} different")
    sys.exit(1 if wrong or not compared else 0)


if __name__ == "__main__":
    main()
