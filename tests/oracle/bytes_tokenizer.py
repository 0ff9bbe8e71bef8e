"""The `bytes` tokenizer: one token for each UTF-8 byte, with the ids of ByT5."""


def encode(text):
    return [byte + 3 for byte in text.encode("utf-8")]


def decode(ids):
    return bytes(i - 3 for i in ids).decode("utf-8")
