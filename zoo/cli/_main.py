"""The command line: finds the verb, runs it, and turns errors of the user into one line."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from zoo import __version__

# Verbs with their one-line help, in the order of `zoo --help`. A verb's file is imported only when it is called.
VERBS = {
    "ls": "list models, data sources, scores, configs and checkpoints",
    "show": "print a config, the card of a checkpoint, or the description of a model",
    "cp": "copy a config or a recipe to edit it",
    "validate": "check a config without reading data",
    "train": "train from a config",
    "finetune": "train from a checkpoint: finetune.from=... finetune.replace=[head]",
    "evaluate": "score a checkpoint on its test split",
    "predict": "answer for new files: class, probabilities and the units that decided",
    "explain": "write the page that explains one input",
    "compare": "match the units of several runs on the same data and show the pairs side by side",
    "intervene": "set concepts of one input by name and see the answer change",
    "steer": "continue a prompt while codes or neurons are set",
    "export": "write a checkpoint in a form that needs no zoo",
    "migrate": "complete a checkpoint of an earlier version with the inputs it was trained on",
}

EPILOG = """examples:
  zoo ls                                     models, data sources, scores, configs, checkpoints
  zoo train protopnet/digits seed=1          train from a config, with an override
  zoo evaluate protopnet-digits              score a checkpoint
  zoo explain protopnet-digits 12            write the page of one input: an index of the test split, or an image file
  zoo intervene cbm-digits 12 has_hole=1     correct a concept and see the answer change
  zoo compare runs/first runs/second         match the units of two runs, side by side
  zoo steer codebook_transformer-tokfsm "12 34" L1.H0.7=on
                                             continue a text while a code is on
  zoo export transformer_program-hist --to program -o hist.py    a trained program as one Python file
"""

# Errors that the user can correct. MisconfigurationException is Lightning's; importing it here would import torch.
USER_ERRORS = (ValueError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
USER_ERROR_NAMES = ("MisconfigurationException",)


def parser(verb: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of all verbs, with the arguments of one of them (None: of all)."""
    top = argparse.ArgumentParser(
        prog="zoo",
        description="Inherently interpretable models: train, fine-tune, evaluate, explain.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"zoo {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="verb", required=True)
    for name, text in VERBS.items():
        sub = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if verb in (None, name):
            import_module(f"zoo.cli.{name}").add_arguments(sub)
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return top


def main(argv: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 on success, 2 for a mistake that the user can correct, 130 if interrupted.
    """
    argv = sys.argv[1:] if argv is None else argv
    top = parser(next((word for word in argv if word in VERBS), ""))
    args, rest = top.parse_known_args(argv)
    overrides = [word for word in rest if not word.startswith("-") and "=" in word]  # that stand behind options
    if len(overrides) != len(rest) or (rest and not hasattr(args, "overrides")):
        top.error(f"unrecognized arguments: {' '.join(w for w in rest if w not in overrides) or ' '.join(rest)}")
    if overrides:
        args.overrides += overrides
    try:
        import_module(f"zoo.cli.{args.verb}").run(args)
    except Exception as error:
        if args.debug or not (isinstance(error, USER_ERRORS) or type(error).__name__ in USER_ERROR_NAMES):
            raise
        sys.stderr.write(f"zoo {args.verb}: {' '.join(str(error).split())}\n")
        return 2
    except KeyboardInterrupt:
        hint = "; continue with --resume" if hasattr(args, "resume") else ""
        sys.stderr.write(f"zoo {args.verb}: stopped{hint}\n")
        return 130
    return 0
