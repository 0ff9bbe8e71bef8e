#!/usr/bin/env python3
"""Write the seeds of the fuzz targets anew: `python3 fuzz/make_seeds.py TOOL`, with a built `ul2-prep`."""

import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
SEEDS = Path(__file__).parent / "seeds"


def write(target, name, data):
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def main():
    tool = Path(sys.argv[1]).resolve()
    texts = [json.loads(line)["text"] for line in (ROOT / "fixtures/ids/unigram.jsonl").open(encoding="utf-8")]
    for number, text in enumerate(text for text in texts if len(text) < 400):
        write("tokenize", f"{number:02}", text.encode())

    records = [
        rb'{"text":"plain"}', rb'{"text":"first","text":"last"}', rb'{"meta":{"text":1},"text":"a\u00e9\n\ud83d\ude00"}',
        rb'{"text":""}', rb'{"text":null}', rb"[1]", rb'{"te\u0078t":"x","score":-1.5e300}', rb'{"text":"\ud800"}',
        b'\xef\xbb\xbf{"text":"mark"}', b'{"text":"\xff"}', rb'{"a":{"b":"deep","b":"last"},"text":[[[]]]}', rb'{"":{"":"x"}}',
        b" \t\r", b"{" * 200, b'{"text":"x"} y', b'{"a":1e999,"text":"x"}',
        b'{"text":"x".5}', b'{"text":"x"e5,"y":1}', rb'{"text":"a\u00e9\ud83d\ude00\n","y":[{"text":1}]}',
    ]
    for number, record in enumerate(records):
        for path in range(3):
            write("record", f"{number:02}-{path}", bytes([path]) + record)

    bad = ROOT / "fixtures/bad"
    text = b'{"text":"one"}\n\n{"text":"two"}\r\nthree'
    write("lines", "plain", b"\x00\x14" + text)
    write("lines", "gzip", b"\x02\x02" + gzip.compress(text, mtime=0))
    for name in ("zst-skippable-frame.jsonl.zst", "zst-trailing-garbage.jsonl.zst", "zst-empty-frame.jsonl.zst"):
        write("lines", name, b"\x01\x03" + (bad / name).read_bytes())
    for kind in range(3):
        runs = bytes([200, 12, 0, 9, 3, 1, 1, 0, 0, *[255, 12, 1] * 7, 255, 12, 0, 7, 12, 0])
        write("lines", f"unfolded-{kind}", bytes([3 + kind, 18]) + runs)

    segment = bytes((place * 37 + place // 5) % 256 for place in range(80))
    for choice in (0, 1, 8, 3, 5, 0x30, 0xF8, 0x4B):
        for more in (0, 4, 6, 8, 12):
            write("decode", f"{choice:02x}-{more:02}", bytes([choice, more, 9]) + segment)

    for recipe in sorted((ROOT / "src/recipe").glob("*.toml")):
        write("recipe", recipe.name, recipe.read_bytes())

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "a.jsonl").write_text('{"text":"a line of some length"}\n{\n' * 3)
        for recipe, more in (("t5", ["--pack"]), ("ul2r", ["--layout", "causal", "--epochs", "2"])):
            out = folder / recipe
            arguments = ["run", "a.jsonl", "--out", out, "--recipe", recipe, "--max-rejects", "9", "--quiet", *more]
            subprocess.run([tool, *arguments], cwd=folder, check=True, stderr=subprocess.DEVNULL)
            compact = lambda value: json.dumps(value, separators=(",", ":")).encode()
            manifest = json.loads((out / "manifest.json").read_text())
            write("manifest", f"plan-{recipe}", b"\x00" + compact(json.loads((out / ".ul2-prep/plan.json").read_text())))
            for commit in (out / ".ul2-prep/commits").iterdir():
                write("manifest", f"commit-{recipe}-{commit.stem}", b"\x01" + compact(json.loads(commit.read_text())))
            write("manifest", f"manifest-{recipe}", b"\x02" + compact(manifest))
            write("manifest", f"spec-{recipe}", b"\x03" + compact(manifest["spec"]))


if __name__ == "__main__":
    main()
