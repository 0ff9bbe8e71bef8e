"""`ul2-prep tokenizer --add`: the Python package reads what it writes, with the ids that the command prints, and text keeps its ids.

python -m pytest tests/readers/test_more_tokens.py --tool target/release/ul2-prep
"""

import json
import re
import subprocess
from pathlib import Path

import pytest
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "fixtures" / name / "tokenizer.json" for name in ("tokenizer", "tokenizer-bpe")]
FILES += sorted((ROOT / "fixtures" / "shapes").glob("*/tokenizer.json"))
TEXTS = [json.loads(line)["text"] for line in (ROOT / "fixtures" / "ids" / "bpe.jsonl").read_text(encoding="utf-8").splitlines()]


def ids(tokenizer, text):
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_the_package_gives_new_tokens_the_ids_that_are_printed_and_text_those_it_had(tool, file, tmp_path):
    add = ["--add", "<fresh_{0..30}>", "--add", "[S2S]"]
    said = subprocess.run([tool, "tokenizer", file, *add, "--out", tmp_path], check=True, capture_output=True, text=True).stdout
    first, last, size = map(int, re.match(r"32 tokens added, (\d+) <fresh_0> to (\d+) \[S2S\]\n(\d+) ids", said).groups())
    assert last == first + 31 and size == last + 1
    old, new = Tokenizer.from_file(str(file)), Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert [new.token_to_id(f"<fresh_{number}>") for number in range(31)] + [new.token_to_id("[S2S]")] == [*range(first, last + 1)]
    assert max(old.get_vocab(with_added_tokens=True).values()) == first - 1
    assert [ids(new, text) for text in TEXTS] == [ids(old, text) for text in TEXTS]
    # A new token is one id wherever it stands, once special tokens are read as such.
    new.encode_special_tokens = False
    assert new.encode("a <fresh_7>b[S2S]", add_special_tokens=False).ids.count(first + 7) == 1


def test_the_configuration_names_the_new_tokens_too(tool, tmp_path):
    subprocess.run([tool, "tokenizer", ROOT / "fixtures" / "tokenizer", "--add", "[S2S]", "--out", tmp_path], check=True, capture_output=True)
    old = json.loads((ROOT / "fixtures" / "tokenizer" / "tokenizer_config.json").read_text(encoding="utf-8"))
    new = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    decoder = new.pop("added_tokens_decoder", None)
    assert {key: value for key, value in old.items() if key != "added_tokens_decoder"} == new
    if decoder is not None:
        assert [token["content"] for token in decoder.values()][-1] == "[S2S]"
