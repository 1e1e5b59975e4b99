"""Steer: go on with a prompt while units are held on or off, beside what the model would have written."""

import argparse
import sys

from omegaconf import OmegaConf

from zoo import checkpoint
from zoo.cli import recipe
from zoo.data import create_data
from zoo.paths import did_you_mean
from zoo.train.run import load_checkpoint, statements

WORDS = {"on": True, "off": False}


def main(args: argparse.Namespace) -> None:
    """Write ``args.new`` tokens after the prompt ``args.input``, with ``args.overrides`` such as ``L1.H2.417=on``."""
    recipe("train").quiet()
    stated, overrides = statements(args.overrides)
    for name, word in stated.items():
        if word not in WORDS:
            text = f"{name}={word}" if name else word
            raise ValueError(f"{text!r} says neither on nor off; write {name or word}=on")
    model, config = load_checkpoint(args.name, overrides)
    if not hasattr(model, "steer"):
        raise ValueError(f"{args.name} is a {model.name}; only the codes of a codebook_transformer are switched")
    names = {name: i for i, name in enumerate(model.units.names)}
    for name in stated:
        if name not in names:
            raise ValueError(f"there is no {model.units.kind} {name!r}{did_you_mean(name, list(names))}")
    data = create_data(**OmegaConf.to_container(config.data))
    x = data.read_input(args.input)[None]
    options = {"temperature": args.temperature, "top_k": args.top_k, "top_p": args.top_p, "seed": args.seed}
    held = {names[name]: WORDS[word] for name, word in stated.items()}
    told = {"as it is": model.generate(x, args.new, **options)}
    if held:
        told["steered"] = model.steer(x, args.new, held, **options)
    prompt = "".join(data.pieces(x)[0])
    for title, new in told.items():
        whole = x.new_full((1, data.context + args.new), -1)
        length = int((x >= 0).sum())
        whole[0, :length], whole[0, length : length + args.new] = x[0, :length], new[0]
        sys.stdout.write(f"{title + ':':10} {prompt}|{''.join(data.pieces(whole)[0][length:])}\n")
    if not held:
        example = model.units.names[0]
        sys.stdout.write(
            f"nothing is held; {checkpoint.title(args.name)} has codes such as {example}: add {example}=on\n"
        )
