"""Fine-tune: start from a checkpoint, replace the named parts, then train as any run."""

import argparse

from zoo.cli import recipe
from zoo.training.run import load_config


def main(args: argparse.Namespace) -> None:
    """Run ``args.name`` from the checkpoint that its config or ``finetune.from=`` names."""
    config = load_config(args.name, args.overrides)
    if config.finetune is None or not config.finetune.source:
        raise ValueError(
            "no checkpoint to start from; add finetune.from=protopnet-digits and finetune.replace=[head,prototypes]"
        )
    recipe("train").main(args)
