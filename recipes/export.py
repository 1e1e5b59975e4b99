"""Export: write what a checkpoint computes in a form that needs no zoo: a transformer program as one Python file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from zoo import __version__, checkpoint
from zoo.capabilities import HasProgram, capability
from zoo.recipe_support.recipe_results import ExportResult
from zoo.training.process_settings import prepared
from zoo.training.run import data_of, load_checkpoint


@prepared
def export(
    name: str | Path,
    *,
    to: Literal["program"] = "program",
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    overwrite: bool = False,
) -> ExportResult:
    """Write a checkpoint as a stand-alone file.

    The file says how often each branch is taken on the sequences of a public source, or on the data that the overrides
    name; data of a user are not read unless they are named, and then the file has no counts.

    Args:
        name: checkpoint or run folder.
        to: ``program``, one Python file that needs nothing but Python.
        out: the file; by default the name of the checkpoint, in the current folder.
        overrides: ``data.key=value`` strings, as on the command line.
        overwrite: replace the file.

    Raises:
        ValueError: no such checkpoint, a model that cannot be written in this form, or a file that exists.

    Example:
        >>> import zoo
        >>> zoo.export("transformer_program-hist", out="hist.py")  # doctest: +SKIP
    """
    name = str(name)
    if to != "program":
        raise ValueError(f"to is {to!r}; expected 'program'")
    model, config = load_checkpoint(name, overrides)
    if (programmed := capability(model, HasProgram)) is None:
        raise ValueError(f"{name} is a {model.name}; --to program writes transformer programs")
    title = checkpoint.title(name)
    file = Path(out or f"{title.replace('-', '_')}.py")
    if file.is_dir():
        raise ValueError(f"{file} is a folder; name a file with -o")
    if file.exists() and not overwrite:
        raise ValueError(f"{file} exists; add --overwrite to replace it, or choose another -o")
    source = data_of(config, model)
    counted = bool(overrides) or (source.is_available and not source.user_supplied)
    x = torch.cat([batch.x for batch in source.loader("train")]) if counted else None
    text = programmed.source(x, name=file.stem, about=_accuracy(name), by=f"zoo {__version__} from {title}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return ExportResult(file, len(text.splitlines()), len(programmed.program.nodes))


def _accuracy(name: str) -> list[str]:
    """Return a line on the test accuracy of a checkpoint, if it is known."""
    _, metrics = checkpoint.read(checkpoint.find(name))
    accuracy = metrics.get("scores", {}).get("accuracy", {}).get("value")
    return [] if accuracy is None else [f"Test accuracy {100 * accuracy:.2f} %."]
