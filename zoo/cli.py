"""``zoo <verb> <name> [key=value ...]``. Verbs that train or score are recipes; torch comes only after parsing."""

from __future__ import annotations

import argparse
import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from zoo import __version__, paths

EPILOG = """examples:
  zoo ls                                     what there is: configs, models, data, checkpoints
  zoo train protopnet/digits seed=1          train from a config, with an override
  zoo evaluate protopnet-digits              score a checkpoint
  zoo explain protopnet-digits 12            write the page of one input: an index of the test split, or a picture file
  zoo intervene cbm-digits 12 has_hole=1     correct a concept and see the answer change
  zoo compare runs/first runs/second         match the units of two trainings, side by side
  zoo steer codebook_transformer-tokfsm "12 34" L1.H0.7=on
                                             go on with a text while a code is held on
  zoo export transformer_program-hist --to program -o hist.py    a trained program as one Python file
"""

INPUT = (
    "index of the test split, a picture file, name=value,... for a table, or a text;"
    " a number is an index, with a space before it a text"
)


def parser() -> argparse.ArgumentParser:
    """All verbs."""
    top = argparse.ArgumentParser(
        prog="zoo",
        description="Models that are their own explanation: train, fine-tune, evaluate, explain.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"zoo {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="verb", required=True)

    def verb(
        name: str, text: str, *, what: str = "", overrides: bool = False, run: bool = False
    ) -> argparse.ArgumentParser:
        p = verbs.add_parser(name, help=text, description=text)
        if what:
            p.add_argument("name", help=what)
        if overrides:
            p.add_argument("overrides", nargs="*", metavar="key=value", help="override a key of the config")
        if run:
            p.add_argument("--out", type=Path, help="folder to write to (default: under runs/)")
            p.add_argument("--overwrite", action="store_true", help="replace an older run in that folder")
            p.add_argument("--dry-run", action="store_true", help="run one batch through everything, write nothing")
        p.add_argument("--debug", action="store_true", help="show the whole trace of an error")
        return p

    verb("ls", "list configs, models, data sources and checkpoints").add_argument("pattern", nargs="?", default="*")
    verb(
        "show",
        "print a config, the card of a checkpoint, or what a model's file says",
        what="config, checkpoint or model",
    )
    p = verb("cp", "copy a config or a recipe to edit it", what="config (protopnet/digits) or recipe (train)")
    p.add_argument("to", type=Path, help="file to write")
    verb("validate", "check a config without reading any data", what="config", overrides=True)
    for name, text in (
        ("train", "train from a config"),
        ("finetune", "train from a checkpoint: finetune.from=..., finetune.replace=[head]"),
    ):
        p = verb(name, text, what="config (protopnet/digits) or YAML file", overrides=True, run=True)
        p.add_argument("--resume", action="store_true", help="go on where a killed run stopped, to the same bits")
        p.add_argument("--recipe", type=Path, help="a recipe of your own instead (zoo cp train my_train.py)")
    p = verb(
        "evaluate", "score a checkpoint on its test split", what="checkpoint or run folder", overrides=True, run=True
    )
    p.add_argument("--suite", default="quick", help="scores: a name under configs/evaluate, or a YAML file")
    p = verb("explain", "write the page that explains one input", what="checkpoint or run folder", run=True)
    p.add_argument("input", help=INPUT)
    p.add_argument("overrides", nargs="*", metavar="data.key=value", help="override a key of the data")
    p.add_argument("--shown", type=int, default=10, help="how many units to show")
    p = verb(
        "intervene",
        "correct concepts of one input by name and see the answer change",
        what="checkpoint or run folder",
        run=True,
    )
    p.add_argument("input", help=INPUT)
    p.add_argument("overrides", nargs="*", metavar="concept=value", help="such as has_hole=1 or wing=striped")
    p = verb("compare", "match the units of several runs on the same data and show the pairs side by side", run=True)
    p.add_argument(
        "overrides", nargs="+", metavar="run", help="checkpoint or run folder, two or more; or data.key=value"
    )
    p.add_argument(
        "--by", default="activations", choices=("activations", "directions", "parts"), help="what is compared"
    )
    p.add_argument("--shown", type=int, default=40, help="how many pairs to picture for each two runs")
    p = verb("steer", "go on with a prompt while codes or neurons are held", what="checkpoint or run folder")
    p.add_argument("input", nargs="?", help="the prompt; without one, the codes of --topic are listed")
    p.add_argument("overrides", nargs="*", metavar="unit=on|off|strength", help="such as L1.H2.417=on")
    p.add_argument("--topic", metavar="REGEX", help="hold on the codes that fire where this is about to be written")
    p.add_argument("--codes", type=int, default=32, help="how many codes of the topic")
    p.add_argument("--samples", type=int, default=0, help="tell how many of so many texts are of the topic instead")
    p.add_argument("--judge", help="checkpoint whose perplexity of the samples is told (default: the same, unsteered)")
    p.add_argument("--new", type=int, default=40, help="how many tokens to write")
    p.add_argument("--temperature", type=float, default=1.0, help="0 writes the likeliest token each time")
    p.add_argument("--top-k", type=int, help="draw among the k likeliest tokens only")
    p.add_argument("--top-p", type=float, help="draw among the likeliest tokens that together reach this probability")
    p.add_argument("--seed", type=int, default=0, help="of the draws")
    p = verb(
        "export", "write a checkpoint in a form that needs no zoo", what="checkpoint or run folder", overrides=True
    )
    p.add_argument("--to", choices=["program"], default="program", help="program: one stand-alone Python file")
    p.add_argument("-o", "--out", type=Path, help="file to write (default: the checkpoint's name)")
    p.add_argument("--overwrite", action="store_true", help="replace the file")
    return top


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0 if it worked, 2 if the user can mend it."""
    args, rest = parser().parse_known_args(argv)
    late = [a for a in rest if not a.startswith("-") and "=" in a]  # overrides that stand behind options
    if len(late) != len(rest) or (rest and not hasattr(args, "overrides")):
        parser().error(f"unrecognised: {' '.join(a for a in rest if a not in late) or ' '.join(rest)}")
    if late:
        args.overrides += late
    try:
        if args.verb in ("ls", "show", "cp"):
            globals()[f"_{args.verb}"](args)
        elif args.verb == "validate":
            recipe("train").validate(args.name, args.overrides)
            _say(f"{args.name} is valid")
        else:
            recipe(args.verb, getattr(args, "recipe", None)).main(args)
    except Exception as error:
        # what a user can mend; the last is Lightning's own word, and importing it here would import torch
        known = (ValueError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
        if args.debug or not (isinstance(error, known) or type(error).__name__ == "MisconfigurationException"):
            raise
        sys.stderr.write(f"zoo {args.verb}: {' '.join(str(error).split())}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"zoo {args.verb}: stopped{'; go on with --resume' if hasattr(args, 'resume') else ''}\n")
        return 130
    return 0


def recipe(name: str, file: Path | None = None) -> ModuleType:
    """The module of a recipe: the one that comes with zoo, or a file of the user's own."""
    if file is not None and not file.is_file():
        raise ValueError(f"no recipe {file}; copy one with `zoo cp {name} {file}`")
    spec = spec_from_file_location(f"zoo_recipe_{name}", file or paths.recipes() / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _say(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")


def _ls(args: argparse.Namespace) -> None:
    from fnmatch import fnmatch

    from zoo.checkpoint import list_checkpoints
    from zoo.data import list_data
    from zoo.registry import MODELS, list_models

    groups = {
        "suites": {n: _headline(paths.config_file(n)) for n in paths.list_suites()},
        "configs": {n: _headline(paths.config_file(n)) for n in paths.list_configs()},
        "models": {n: MODELS.describe(n) for n in list_models()},
        "data": {n: "" for n in list_data()},
        "checkpoints": {n: "" for n in list_checkpoints()},
    }
    found = False
    for title, entries in groups.items():
        shown = {n: text for n, text in entries.items() if fnmatch(n, args.pattern) or args.pattern in n}
        if shown:
            found = True
            width = max(map(len, shown))
            _say(f"{title}\n" + "\n".join(f"  {n:{width}}  {text}".rstrip() for n, text in shown.items()))
    if not found:
        raise ValueError(f"nothing matches {args.pattern!r}; `zoo ls` lists all")


def _headline(file: Path) -> str:
    """What a config's first comment line says after its path."""
    first = file.read_text().splitlines()[0] if file.stat().st_size else ""
    return first.split(":", 1)[1].strip() if first.startswith("#") and ":" in first else ""


def _show(args: argparse.Namespace) -> None:
    from zoo.checkpoint import find, list_checkpoints
    from zoo.registry import MODELS, list_models

    if args.name in [*paths.list_configs(), *paths.list_suites()] or args.name.endswith((".yaml", ".yml")):
        _say(paths.config_file(args.name).read_text())
    elif args.name in list_models():
        _say(MODELS.docstring(args.name) or f"{args.name} comes from another package")
    elif args.name in list_checkpoints() or Path(args.name).is_dir():
        readme = find(args.name) / "README.md"
        if not readme.is_file():
            raise ValueError(f"{readme} is missing; the checkpoint has no card")
        _say(readme.read_text())
    else:
        near = paths.did_you_mean(args.name, [*paths.list_configs(), *list_models(), *list_checkpoints()])
        raise ValueError(f"nothing is called {args.name!r}{near}; `zoo ls` lists all")


def _cp(args: argparse.Namespace) -> None:
    script = paths.recipes() / f"{args.name}.py"
    source = script if script.is_file() else paths.config_file(args.name)
    target = args.to / source.name if args.to.is_dir() else args.to
    if target.exists():
        raise ValueError(f"{target} exists; choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    _say(f"{source} -> {target}")


if __name__ == "__main__":
    sys.exit(main())
