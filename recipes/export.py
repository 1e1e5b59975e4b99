"""Export: write a checkpoint in a form that needs no zoo: a graph, or a transformer program as one Python file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import torch

from zoo import __version__, checkpoint
from zoo.capabilities import HasProgram, capability
from zoo.recipe_support.recipe_results import ExportResult
from zoo.serving.checked_file import write_checked
from zoo.serving.samples import from_files, from_inputs, generated
from zoo.training.process_settings import prepared
from zoo.training.run import data_of, load_checkpoint

Form = Literal["onnx", "torch", "program"]
SUFFIXES = {"onnx": ".onnx", "torch": ".pt2", "program": ".py"}
MAX_SAMPLES = 2000  # of the test split on which a file is run


@prepared
def export(
    name: str | Path,
    *,
    to: Form | None = None,
    out: str | Path | None = None,
    check: str | Path | None = None,
    shown: int = 10,
    overrides: Sequence[str] = (),
    overwrite: bool = False,
) -> ExportResult:
    """Write a checkpoint as a stand-alone file.

    A graph is run before it is kept: on ``check``, or on the test split of a public source, or on data that the
    overrides name; data of a user are not read unless they are named, and then the samples are generated. The same
    holds for a program, which says how often each branch is taken on the training sequences.

    Args:
        name: checkpoint or run folder.
        to: ``onnx``; ``torch``, a program for ``torch.export.load``; or ``program``, one file of Python for a
            transformer program. None for ``program`` of a transformer program and ``onnx`` of any other model.
        out: the file; by default the name of the checkpoint, in the current folder.
        check: file or folder with inputs on which the file is run.
        shown: number of units that the outputs ``shown`` and ``map`` have.
        overrides: ``data.key=value`` strings, as on the command line.
        overwrite: replace the file.

    Raises:
        ValueError: no such checkpoint, a model that cannot be written in this form, a file that exists, or one that
            does not compute what the model computes; then nothing is written.

    Example:
        >>> import zoo
        >>> zoo.export("protopnet-digits", out="digits.onnx").changed_answers  # doctest: +SKIP
        0
    """
    name = str(name)
    if to is not None and to not in get_args(Form):
        raise ValueError(f"to is {to!r}; expected one of {', '.join(get_args(Form))}")
    model, config = load_checkpoint(name, overrides)
    programmed = capability(model, HasProgram)
    to = to or ("onnx" if programmed is None else "program")
    if to == "program" and programmed is None:
        raise ValueError(f"{name} is a {model.name}; --to program writes transformer programs, --to onnx all models")
    title = checkpoint.title(name)
    stem = title.replace("-", "_") if to == "program" else title
    file = Path(out or f"{stem}{SUFFIXES[to]}")
    if file.is_dir():
        raise ValueError(f"{file} is a folder; name a file with -o")
    if file.exists() and not overwrite:
        raise ValueError(f"{file} exists; add --overwrite to replace it, or choose another -o")
    file.parent.mkdir(parents=True, exist_ok=True)
    source = None if check is not None and to != "program" else data_of(config, model)
    known = source is not None and (bool(overrides) or (source.is_available and not source.user_supplied))
    if to == "program":
        assert programmed is not None
        assert source is not None
        x = torch.cat([batch.x for batch in source.loader("train")]) if known else None
        text = programmed.source(x, name=file.stem, about=_accuracy(name), by=f"zoo {__version__} from {title}")
        file.write_text(text, encoding="utf-8")
        return ExportResult(file, lines=len(text.splitlines()), variables=len(programmed.program.nodes))
    if check is not None:
        samples, where = from_files(model, Path(check).expanduser()), str(check)
    elif known:
        samples = from_inputs(model, (batch.x for batch in source.loader("test")), MAX_SAMPLES)  # pyright: ignore[reportOptionalMemberAccess]
        where = f"the test split of {config.data.name}"
    else:
        samples, where = generated(model), "generated inputs"
    names, done = write_checked(model, title, file, form=to, shown=shown, samples=samples, where=where)
    return ExportResult(
        file,
        outputs=names,
        samples=f"{done.samples} samples of {where}",
        count=done.samples,
        differences=done.differences,
        changed_answers=done.other_answers,
        reader_difference=done.reader_difference,
    )


def _accuracy(name: str) -> list[str]:
    """Return a line on the test accuracy of a checkpoint, if it is known."""
    _, metrics = checkpoint.read(checkpoint.find(name))
    accuracy = metrics.get("scores", {}).get("accuracy", {}).get("value")
    return [] if accuracy is None else [f"Test accuracy {100 * accuracy:.2f} %."]
