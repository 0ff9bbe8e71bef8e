#!/usr/bin/env python3
"""Writes a shard of documents that are hard on tokenizers: adversarial.py OUT.jsonl.zst [DOCUMENTS].

Control characters, combining marks, `▁`, white space of all kinds, emoji sequences, spelled added tokens, long runs of one character and any
scalar value at all, between ordinary words. `end_to_end.py` measures it with the fast path and with `--tool-args '--tokenizer-path oracle'`.
"""

import json
import random
import subprocess
import sys

WORDS = "the The of and isn't I'VE o'clock naïve Straße ﬁne １２３ ½ 3.14159 2026-11-25 http://a.b/c?d=e 漢字 かな 한국어 हिन्दी العربية".split()
ODD = ["\u0301", "e\u0301", "\u200d", "👩\u200d👧", "🇩🇪", "▁", "▁the", "\u00a0", "\u2009", "\u3000", "\t", "\n", "\r\n", "\x01", "\x7f", "\u00ad",
       "\ufeff", "\ufffd", "</s>", "<pad>", "<unk>", "<extra_id_0>", "<extra_id_99>", "<|endoftext|>", "  ", "     "]


def piece(choice):
    kind = choice.randrange(10)
    if kind < 4:
        return choice.choice(WORDS)
    if kind < 7:
        return choice.choice(ODD)
    if kind < 8:
        return choice.choice("aA.- 中\u0301▁") * choice.choice([2, 17, 64, 300])
    # Any scalar value: not a surrogate.
    value = choice.randrange(0x110000 - 0x800)
    return chr(value if value < 0xD800 else value + 0x800)


def main():
    out, documents = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    choice = random.Random(7)
    lines = []
    for _ in range(documents):
        text = "".join(piece(choice) + choice.choice(["", " "]) for _ in range(choice.randrange(1, 120)))
        lines.append(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    subprocess.run(["zstd", "-q", "-3", "-f", "-o", out], input="".join(lines).encode(), check=True)


if __name__ == "__main__":
    main()
