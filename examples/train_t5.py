#!/usr/bin/env python3
"""Trains a small T5 from nothing on the rows of `ul2-prep run`, and draws the loss curve.

    train_t5.py DIR [--compare] [--picture loss-t5.png]

DIR is a finished data set of the encoder-decoder layout, not packed. Nothing is downloaded, and no tokenizer is needed: the model's vocabulary, pad, EOS and
decoder start come from DIR/manifest.json. The exit status is 1 if the curve does not fall or has a spike (`loss_curve.py` says what these are), or if two
curves differ by more than chance.

`--compare` trains a second model, from the same weights, in the same steps and on the same texts, but with masks that the collator of the Python package
`text-denoising` draws while it trains, and draws both curves. DIR must be of the recipe `text-denoising`. The texts are put together again from the
rows. What of that collator has to be worked around is said at `on_the_fly`.

Each run is the same on the same machine: weights, order of the rows and masks follow from `--seed`.
"""

import copy
import random
import sys
import time

import numpy
import tokenizers
import torch
import transformers

import loss_curve
import training
from training import IGNORED

MOST_KEPT_APART = 256


def tokenizer_of(vocabulary):
    """A tokenizer that knows the ids of the manifest's vocabulary but no words: enough to pad, and to be asked for its special tokens.

    With a `tokenizer.json` at hand, `PreTrainedTokenizerFast(tokenizer_file=..., pad_token="<pad>")` serves as well. A data set holds the ids alone.
    """
    names = {f"<{number}>": number for number in range(vocabulary["size"])}
    pad, eos = f"<{vocabulary['pad']}>", f"<{vocabulary['eos']}>"
    model = tokenizers.models.WordLevel(names, unk_token=pad)
    # T5 has no BOS: its decoder starts with pad.
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(model), pad_token=pad, eos_token=eos, bos_token=pad, padding_side="right"
    )


def model_of(vocabulary, width, layers):
    # T5's checkpoints have 32,128 embeddings for 32,100 ids. From nothing, as many as there are ids are enough.
    return transformers.T5ForConditionalGeneration(transformers.T5Config(
        vocab_size=vocabulary["size"],
        pad_token_id=vocabulary["pad"],
        eos_token_id=vocabulary["eos"],
        decoder_start_token_id=vocabulary["pad"],
        d_model=width,
        d_kv=width // 4,
        num_heads=4,
        d_ff=2 * width,
        num_layers=layers,
        dropout_rate=0.0,
    ))


@torch.no_grad()
def loss_on(model, data):
    """The mean loss of a label, over all batches."""
    total = labels = 0
    for batch in data:
        count = int((batch["labels"] != IGNORED).sum())
        total += model(**batch).loss.item() * count
        labels += count
    return total / labels


def segment_of(row, sentinels, eos):
    """The text's ids that a row was made from: each sentinel of the inputs stands for the ids that follow it in the labels.

    For recipes without mode tokens, with EOS at the end of the labels only.
    """
    noise, spans = [], {}
    for label in row["labels"]:
        if label in sentinels:
            noise = spans[label] = []
        elif label != eos:
            noise.append(label)
    if not spans:  # a suffix: the labels go on where the inputs end
        return row["input_ids"] + noise
    return [token for given in row["input_ids"] for token in spans.get(given, [given])]


def on_the_fly(collator, segment, eos):
    """A row of ids and labels that the collator of text-denoising 0.1.1 makes of a segment.

    It gets one segment at a time, and its padding is taken off again. Of a batch of unequal lengths it draws the masks for the padded length and hides
    padding too; it gives no attention mask for the inputs; and it fills R's and X's with 0, whatever pad is.

    EOS is put behind the segment, because it writes EOS over the last id of S and gives the labels of R and X none. So nothing is lost, and as its masks
    always end with noise, EOS ends the labels of all three.
    """
    made = collator([{"input_ids": [*segment, eos]}])
    columns = {}
    for name, fill in (("input_ids", 0), ("labels", IGNORED)):
        ids = made[name][0]
        columns[name] = ids[ids != fill].tolist()
    return columns


def collator_of(tokenizer, spec):
    """The package's collator with its default arguments, which are the recipe `text-denoising`."""
    from text_denoising import DataCollatorForUL2
    vocabulary = spec["vocabulary"]
    if spec["recipe"] != "text-denoising":
        sys.exit(f"--compare needs a data set of the recipe `text-denoising`, this one's is `{spec['recipe']}`")
    if spec.get("pad"):
        sys.exit("--compare needs rows without padding")
    # It counts sentinels down from the end of the vocabulary, whatever the tokens there are.
    last = range(vocabulary["size"] - 1, 0, -1)
    if vocabulary["sentinels"] != list(last[: len(vocabulary["sentinels"])]) or vocabulary["pad"] != 0:
        sys.exit("--compare needs a tokenizer whose pad is 0 and whose last ids are the sentinels, the first one last, as T5's are")
    return DataCollatorForUL2(tokenizer)


def main():
    parser = training.parser(__doc__.split("\n")[0], "loss-t5.png")
    parser.add_argument("--compare", action="store_true", help="train with masks of text-denoising's collator as well")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    manifest, rows = training.data_set(args.data)
    spec = manifest["spec"]
    vocabulary, eos = spec["vocabulary"], spec["vocabulary"]["eos"]
    if spec.get("causal"):
        sys.exit("the rows are of the causal layout: train_causal.py reads them")
    if spec.get("pack"):
        sys.exit("the rows are packed: T5 would look from one example into the next")
    if vocabulary["pad"] is None:
        sys.exit("the vocabulary has no pad, with which T5's decoder starts: name one with `ul2-prep run --pad-token`")
    if "line" not in rows.column_names:
        sys.exit("the rows have no column `line`, by which some are kept apart")
    tokenizer = tokenizer_of(vocabulary)
    pad = transformers.DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=IGNORED)

    # Every 20th line is kept apart, with all its rows.
    apart = numpy.asarray(rows["line"]) % 20 == 0
    rows = rows.select_columns([name for name in ("input_ids", "labels", "attention_mask") if name in rows.column_names])
    held, rows = rows.select(numpy.flatnonzero(apart)), rows.select(numpy.flatnonzero(~apart))
    if args.compare:
        collator, sentinels = collator_of(tokenizer, spec), set(vocabulary["sentinels"])
        text = lambda row: segment_of(row, sentinels, eos)
        # Whole windows alone, as the package's own example has it. In shorter ones a mask has fewer spans, and if it is one, that package always hides the
        # end of the text, while the recipe puts the span anywhere.
        whole = lambda row: len(text(row)) == spec["segmenting"]["window"]["tokens"]
        held, rows = held.filter(whole, keep_in_memory=True), rows.filter(whole, keep_in_memory=True)
    if not held:
        sys.exit("no row is kept apart: too few documents")
    held = held.select(range(min(len(held), MOST_KEPT_APART)))
    know_nothing = training.know_nothing(rows, vocabulary["size"])

    torch.manual_seed(args.seed)
    fresh = model_of(vocabulary, args.width, args.layers)
    print(f"{len(rows)} rows to train on, {len(held)} kept apart; {fresh.num_parameters():,} parameters")
    masking = []

    def masked_before():
        return training.batches(rows, args.batch, args.steps, args.seed)

    def masked_on_the_fly():
        random.seed(args.seed)  # the collator draws from both
        numpy.random.seed(args.seed)
        for batch in masked_before():
            segments = [text(row) for row in batch]
            begin = time.perf_counter()
            batch = [on_the_fly(collator, segment, eos) for segment in segments]
            masking.append(time.perf_counter() - begin)
            yield batch

    sources = {"ul2-prep, masked before": masked_before}
    if args.compare:
        sources["text-denoising, masked on the fly"] = masked_on_the_fly
    curves, good = {}, True
    for name, source in sources.items():
        print(f"{name}:")
        model, begin = copy.deepcopy(fresh), time.process_time()
        curves[name] = training.train(model, map(pad, source()), args)
        print(f"{time.process_time() - begin:.0f} s of CPU")
        good &= training.judge(curves[name], know_nothing)
        batches = (list(held.select(range(at, min(at + 8, len(held))))) for at in range(0, len(held), 8))
        print(f"on the rows kept apart: {loss_on(model.eval(), map(pad, batches)):.3f}")
    if args.compare:
        gap = loss_curve.difference(*curves.values())
        print(f"difference in the second half: {gap.mean:+.4f}, standard error {gap.error:.4f}")
        # An error from 8 parts is itself uncertain: beyond 6 of them is Student's t with 7 degrees of freedom in 5 of 10,000 cases.
        if abs(gap.mean) > loss_curve.STANDARD_ERRORS * gap.error:
            good = False
            print("fault: the curves differ by more than chance")
        print(f"masking on the fly: {1e3 * numpy.sum(masking) / (args.steps * args.batch):.2f} ms a row")

    title = f"T5 of {fresh.num_parameters() / 1e6:.1f} million parameters, recipe {spec['recipe']}, {args.batch} rows a step"
    loss_curve.draw(args.picture, title, curves, know_nothing)
    print(f"drawn in {args.picture}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
