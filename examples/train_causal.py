#!/usr/bin/env python3
"""Trains a small GPT-2 from nothing on causal rows of `ul2-prep run`, and draws the loss curve.

    train_causal.py DIR [--picture loss-causal.png]

DIR is a finished data set made with `--layout causal`, or by a recipe of that layout, packed or not. Vocabulary, pad, EOS and the longest row come from
DIR/manifest.json. The exit status is 1 if the curve does not fall or has a spike (`loss_curve.py` says what these are), or if one example of a packed row
can see another.

**Labels are not shifted.** A label stands at the place of its own id, and the models of Hugging Face compare it with what they say one place before. With
a model that does not shift by itself, take `logits[:, :-1]` and `labels[:, 1:]`.

**Packed rows** hold several examples that must not see each other:

    input_ids           a b c x y      two examples, "a b c" and "x y"
    input_segment_ids   1 1 1 2 2
    position_ids        0 1 2 0 1

              a b c x y
           a  1 . . . .     An id looks at ids before it and at itself, as ever, but only at those of its own example: the mask is
           b  1 1 . . .     block-diagonal. Positions begin anew with each example, so each is computed as if it were alone in the row.
           c  1 1 1 . .
           x  . . . 1 .     Shifted, the label of x would be asked of c. So labels at position 0 are left out.
           y  . . . 1 1

Before it trains, the script computes the examples of a packed row alone and compares.

A mask that is not causal within the prefix, as U-PaLM's, would allow those places too where both ids are before their example's `prefix_length`.
"""

import sys
import time

import torch
import transformers

import loss_curve
import training
from training import IGNORED

# What a difference in the order of sums makes in float32 is below a 10,000th for logits of a few units.
TOLERANCE = 1e-4


def model_of(spec, width, layers):
    vocabulary = spec["vocabulary"]
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=vocabulary["size"],
        n_positions=spec["causal"]["sequence_length"],
        bos_token_id=vocabulary["eos"],
        eos_token_id=vocabulary["eos"],
        n_embd=width,
        n_layer=layers,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    ))
    model.loss_type = "ForCausalLM"  # what it is without, too, but with a warning
    return model


def attention_mask(segments):
    """What is added to the attention's scores, [row, 1, id that looks, id that is seen]: 0 where an id may look, else the least number.

    Padding is a segment of its own, 0: it sees itself, so that no line is without a 0, and nothing sees it.
    """
    same = segments[:, :, None] == segments[:, None, :]
    before = torch.ones(same.shape[1:], dtype=torch.bool).tril()
    return torch.zeros(same.shape).masked_fill(~(same & before), torch.finfo(torch.float32).min)[:, None]


def padded(rows, name, fill):
    longest = max(len(row[name]) for row in rows)
    return torch.tensor([row[name] + [fill] * (longest - len(row[name])) for row in rows])


def batch_of(rows, pad):
    """What the model takes, of rows of several lengths. A row that is not packed is one example."""
    if "input_segment_ids" not in rows[0]:
        rows = [dict(row, position_ids=list(range(len(row["labels"])))) for row in rows]
        rows = [dict(row, input_segment_ids=row.get("attention_mask", [1] * len(row["labels"]))) for row in rows]
    segments, positions = padded(rows, "input_segment_ids", 0), padded(rows, "position_ids", 0)
    return {
        "input_ids": padded(rows, "input_ids", pad),
        "labels": padded(rows, "labels", IGNORED).masked_fill(positions == 0, IGNORED),
        "attention_mask": attention_mask(segments),
        "position_ids": positions,
    }


@torch.no_grad()
def crossing(model, row, pad):
    """The greatest difference of a logit between the examples of a packed row, and each of them alone."""
    together, greatest = model(**batch_of([row], pad)).logits[0], 0.0
    segments = torch.tensor(row["input_segment_ids"])
    for number in range(1, int(segments.max()) + 1):
        ids = torch.tensor(row["input_ids"])[segments == number]
        alone = model(input_ids=ids[None]).logits[0]
        greatest = max(greatest, float((together[segments == number] - alone).abs().max()))
    return greatest


def main():
    args = training.parser(__doc__.split("\n")[0], "loss-causal.png").parse_args()
    torch.set_num_threads(args.threads)
    manifest, rows = training.data_set(args.data)
    spec = manifest["spec"]
    if not spec.get("causal"):
        sys.exit("the rows are of the encoder-decoder layout: train_t5.py reads them")
    # Any id may pad: nothing looks at it, and it has no label.
    pad = spec["vocabulary"]["pad"] if spec["vocabulary"]["pad"] is not None else spec["vocabulary"]["eos"]
    wanted = ("input_ids", "labels", "attention_mask", "input_segment_ids", "position_ids")
    rows = rows.select_columns([name for name in wanted if name in rows.column_names])
    know_nothing = training.know_nothing(rows, spec["vocabulary"]["size"])

    torch.manual_seed(args.seed)
    model = model_of(spec, args.width, args.layers)
    print(f"{len(rows)} rows; {model.num_parameters():,} parameters")
    if spec.get("pack"):
        fullest = max(rows.select(range(min(len(rows), 100))), key=lambda row: max(row["input_segment_ids"]))
        greatest = crossing(model, fullest, pad)
        print(f"{max(fullest['input_segment_ids'])} examples of a packed row, together and alone: logits differ by at most {greatest:.1e}")
        if greatest > TOLERANCE:
            sys.exit("fault: examples of a packed row see each other")

    begin = time.process_time()
    data = (batch_of(batch, pad) for batch in training.batches(rows, args.batch, args.steps, args.seed))
    losses = training.train(model, data, args)
    print(f"{time.process_time() - begin:.0f} s of CPU")
    good = training.judge(losses, know_nothing)

    kind = "packed rows" if spec.get("pack") else "rows"
    title = f"GPT-2 of {model.num_parameters() / 1e6:.1f} million parameters, recipe {spec['recipe']}, {args.batch} {kind} a step"
    loss_curve.draw(args.picture, title, {"ul2-prep, causal": losses}, know_nothing)
    print(f"drawn in {args.picture}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
