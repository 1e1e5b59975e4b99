"""The command line: finds the verb, runs it, and turns errors of the user into one line."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from zoo import __version__
from zoo.cli._output import Messages, close_output
from zoo.runtime.signals import Terminated, exit_code, termination
from zoo.runtime.terminal import printable

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
    "report": "audit a model of tables: groups, fairness, drift, monotonicity, stored data",
    "explain": "write the page that explains one input",
    "compare": "match the units of several runs on the same data and show the pairs side by side",
    "intervene": "set concepts of one input by name and see the answer change",
    "edit": "strike out, merge, flatten or rename units; undo it exactly",
    "steer": "continue a prompt while codes or neurons are set",
    "export": "write a checkpoint in a form that needs no zoo",
    "push": "put a checkpoint on a model hub",
    "pull": "fetch a checkpoint from a model hub",
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

# Errors that the user can correct. The named ones are of Lightning and torch; importing them here would import torch.
USER_ERRORS = (ValueError, OSError, MemoryError)
USER_ERROR_NAMES = ("MisconfigurationException", "OutOfMemoryError")
NO_MEMORY = "can't allocate memory"  # of torch's RuntimeError


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
        0 on success, 2 for a mistake that the user can correct, 130 after Ctrl-C and 143 after SIGTERM.
    """
    argv = sys.argv[1:] if argv is None else argv
    top = parser(next((word for word in argv if word in VERBS), ""))
    args, rest = top.parse_known_args(argv)
    overrides = [word for word in rest if word.startswith("~") or (not word.startswith("-") and "=" in word)]
    if len(overrides) != len(rest) or (rest and not hasattr(args, "overrides")):
        top.error(f"unrecognized arguments: {' '.join(w for w in rest if w not in overrides) or ' '.join(rest)}")
    if overrides:
        args.overrides += overrides
    with _messages(args.verb):
        try:
            with termination():
                import_module(f"zoo.cli.{args.verb}").run(args)
                sys.stdout.flush()
        except BrokenPipeError:  # the reader of standard output has seen enough, as `head` does
            close_output()
        except Exception as error:
            if args.debug or not _is_users(error):
                raise
            _complain(args.verb, error, _describe(error))
            _discard_output()
            return 2
        except KeyboardInterrupt as error:
            _complain(args.verb, error, "terminated" if isinstance(error, Terminated) else "stopped")
            return exit_code(error)
    return 0


@contextmanager
def _messages(verb: str) -> Iterator[None]:
    """Print log messages of zoo and warnings as one line each; text that the terminal cannot show is escaped."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    logger = logging.getLogger("zoo")
    handler, level, form = Messages(), logger.level, warnings.formatwarning
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    warnings.formatwarning = lambda message, *_, **__: f"zoo {verb}: warning: {_one_line(message)}\n"
    try:
        yield
    finally:
        warnings.formatwarning = form
        logger.setLevel(level)
        logger.removeHandler(handler)


def _is_users(error: Exception) -> bool:
    named = type(error).__name__ in USER_ERROR_NAMES or NO_MEMORY in str(error)
    return isinstance(error, USER_ERRORS) or named


def _describe(error: Exception) -> str:
    """Return what an error is, with the file that an error of the operating system names."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or ("out of memory" if isinstance(error, MemoryError) else type(error).__name__)


def _complain(verb: str, error: BaseException, text: str) -> None:
    """Write one line to standard error: the text and the notes of an error, such as how to resume."""
    line = "; ".join([text, *getattr(error, "__notes__", [])])
    sys.stderr.write(f"zoo {verb}: {_one_line(line)}\n")


def _one_line(text: object) -> str:
    return printable(" ".join(str(text).split()))


def _discard_output() -> None:
    """Flush standard output; if that fails, as on a full disk, the rest is dropped without a further message."""
    try:
        sys.stdout.flush()
    except OSError:
        close_output()
