"""Steer: go on with a prompt while codes or neurons are held; find the codes of a topic, and what holding them does."""

import argparse
import math
import re
import sys
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from zoo import checkpoint
from zoo.cli import recipe
from zoo.evaluation.code_search import Steered, likely, search, share, topic
from zoo.paths import did_you_mean
from zoo.training.run import data_of, load_checkpoint, statements


def main(args: argparse.Namespace) -> None:
    """Write ``args.new`` tokens after the prompt ``args.input``, with ``args.overrides`` such as ``L1.H2.417=on``.

    A code is ``on`` or ``off``; a neuron is ``off`` or has a strength, such as ``L0.E3.17=2.5``.
    With ``args.topic`` and nothing stated, the codes found for the topic are on; without a prompt they are only listed.
    With ``args.samples``, how often the topic is written is told instead of what is written.
    """
    recipe("train").quiet()
    stated, overrides = statements(args.overrides)
    if args.samples < 0:
        raise ValueError(f"--samples is {args.samples}; expected how many texts to draw")
    of = None if args.topic is None else topic(args.topic)
    if of is None and (args.input is None or args.samples):
        raise ValueError("nothing to do: give a prompt" if args.input is None else "--samples needs a --topic")
    model, config = load_checkpoint(args.name, overrides)
    if not hasattr(model, "steer"):
        raise ValueError(f"{args.name} is a {model.name}; only codes and neurons of language models are held")
    if of is not None and model.units.kind != "code":
        raise ValueError(f"{args.name} has {model.units.kind}s; only codes are found by --topic")
    names = {name: i for i, name in enumerate(model.units.names)}
    strengths = {name: _strength(model.units.kind, name, word) for name, word in stated.items()}
    for name in stated:
        if name not in names:
            raise ValueError(f"there is no {model.units.kind} {name!r}{did_you_mean(name, list(names))}")
    judge = _judge(args, model) if args.samples else model  # before the search, which takes a while
    data = data_of(config, model)
    held = {names[name]: strength for name, strength in strengths.items()}
    x = None if args.input is None else data.read_input(args.input)[None]
    if of is not None and not held:
        held = {unit: True for unit in find(model, data, of, args.codes)}
    if x is None:
        return
    if args.samples and of is not None:
        rates(args, model, judge, data, x[:, : int((x >= 0).sum())], held, of)
    else:
        write(args, model, data, x, held)


def _strength(kind: str, name: str, word: str) -> float:
    """What a unit is held at: 1 for on, 0 for off."""
    if word in ("on", "off") and (kind == "code" or word == "off"):
        return float(word == "on")
    try:
        if kind != "code" and math.isfinite(strength := float(word)):
            return strength
    except ValueError:
        pass
    text = f"{name}={word}" if name else word
    if kind == "code":
        raise ValueError(f"{text!r} says neither on nor off; write {name or word}=on")
    raise ValueError(f"{text!r} gives no strength; write {name or word}=2.5 or {name or word}=off")


def find(model, data, of: re.Pattern, count: int) -> list[int]:
    """List the codes that fire where the topic follows; their ids."""
    train, val = search(model, data, of, count=count)
    title = f"codes that fire where {of.pattern} follows"
    sheet = Table("code", "precision", "recall", "fired", "on validation texts", "", "", title=title, box=None)
    for one, two in zip(train, val, strict=True):
        row = [f"{v:.3f}" for v in one[1:3]] + [str(one.fired)] + [f"{v:.3f}" for v in two[1:3]] + [str(two.fired)]
        sheet.add_row(model.units.names[one.unit], *row)
    Console().print(sheet)
    return [one.unit for one in train]


def write(args: argparse.Namespace, model, data, x: torch.Tensor, held: dict[int, float]) -> None:
    """What the model writes, as it is and steered."""
    options = {"temperature": args.temperature, "top_k": args.top_k, "top_p": args.top_p, "seed": args.seed}
    told = {"as it is": model.generate(x, args.new, **options)}
    if held:
        told["steered"] = model.steer(x, args.new, held, **options)
    prompt = "".join(data.token_texts(x)[0])
    for title, new in told.items():
        whole = x.new_full((1, data.context + args.new), -1)
        length = int((x >= 0).sum())
        whole[0, :length], whole[0, length : length + args.new] = x[0, :length], new[0]
        sys.stdout.write(f"{title + ':':10} {prompt}|{''.join(data.token_texts(whole)[0][length:])}\n")
    if not held:
        kind, example = model.units.kind, model.units.names[0]
        add = f"{example}={'on' if kind == 'code' else '2.5'}"
        sys.stdout.write(f"nothing is held; {checkpoint.title(args.name)} has {kind}s such as {example}: add {add}\n")


def _judge(args: argparse.Namespace, model) -> Any:
    """The model whose perplexity is told: the one of ``--judge``, or the steered one."""
    judge = model if args.judge is None else load_checkpoint(args.judge, [])[0]
    if not hasattr(judge, "decoder"):
        raise ValueError(f"--judge {args.judge} is a {judge.name}; expected a language model")
    if judge.decoder.vocabulary != model.decoder.vocabulary:
        raise ValueError(f"--judge {args.judge} has another vocabulary than {args.name}")
    return judge


def rates(
    args: argparse.Namespace, model, judge, data, x: torch.Tensor, held: dict[int, float], of: re.Pattern
) -> None:
    """How often the topic is written, at what cost in perplexity and in loss on test texts."""
    options = {"temperature": args.temperature, "top_k": args.top_k, "top_p": args.top_p, "seed": args.seed}
    x, test = x.repeat(args.samples, 1), data.windows("test")
    sheet = Table("", f"share of {args.samples} texts with {of.pattern}", "perplexity", "loss on test texts", box=None)
    for title, now in (("as it is", {}), ("steered", held)):
        new = model.steer(x, args.new, now, **options)
        loss = data.nats(Steered(model, now), test)[0].mean()
        sheet.add_row(title, f"{share(data, new, of):.3f}", f"{likely(judge, x, new):.2f}", f"{float(loss):.3f}")
    Console().print(sheet)
