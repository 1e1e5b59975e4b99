"""``zoo finetune``: train from the weights of a checkpoint."""

from zoo.cli.train import add_arguments, run

__all__ = ["add_arguments", "run"]
