"""Print the table of docs/how-to/export.md: every family as ONNX and as a program of torch, with what the files differ.

    OMP_NUM_THREADS=1 .venv/bin/python tests/serving/export_table.py [family or checkpoint ...]

A family with a checkpoint is exported by ``zoo export`` and run on its test split; of one without a checkpoint a model
with random weights is run on random inputs of the model. ``all`` stands for every shipped checkpoint. The processor
time of each row is printed to the standard error.
"""

import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from test_contract import CASES, SIZE, build, draw

import zoo
from zoo.batch import Batch
from zoo.inputs.image import ImageInputs
from zoo.models.baselines.boosting import Boosting
from zoo.serving.checked_file import WRITERS
from zoo.serving.graph import Graph
from zoo.serving.samples import Samples
from zoo.serving.trial import trial

CHECKPOINTS = {
    "additive": "additive-adult",
    "codebook_transformer": "codebook_transformer-tokfsm",
    "dense_transformer": "dense_transformer-tokfsm",
    "moex": "moex-tokfsm",
    "scbm": "scbm-digits_frozen",
    "scoring_card": "scoring_card-adult",
    "rationale": "rationale-generated_reviews",
    "text_cbm": "text_cbm-generated_reviews",
    "transformer_program": "transformer_program-hist",
}  # of a family with several the smallest one; of all others that of digits, if there is one
SAMPLES = 200  # random inputs
FORMS = ("onnx", "torch")


def of_checkpoint(name: str, folder: Path) -> list[str]:
    """Return the cells of a row: samples, differences of both forms, answers that change."""
    done = [zoo.export(name, to=form, out=folder / f"{name}.{form}", overwrite=True) for form in FORMS]
    first = done[0]
    changed = f"{first.changed_answers} of {first.count}"
    return [f"`{name}`, {first.samples}", *(_cells(d.differences) for d in done), changed]


def of_random_weights(name: str, folder: Path) -> list[str]:
    """Return the same of a model with random weights, whose inputs are those behind the reader."""
    model = build(name, next(extra for family, extra in CASES if family == name))
    x = draw(model, SAMPLES, torch.Generator().manual_seed(0))
    if isinstance(model, Boosting):  # without trees there is nothing to compute
        model.fit_trees([Batch(x, torch.arange(len(x)) % 4, torch.arange(len(x)))], max_iter=3)
    model.inputs = ImageInputs(size=SIZE, class_names=list("abcd"))
    graph = Graph(model)
    graph.raw = torch.nn.Identity()
    samples = [Samples(part, part) for part in x.split(50)]
    cells = []
    for form in FORMS:
        write, opened = WRITERS[form]
        file = folder / f"{name}.{form}"
        write(graph, x[:3], {"outputs": list(graph(x[:3])), "checkpoint": "", "model": name, "zoo": ""}, file)
        cells.append(_cells(trial(graph, opened(graph, file), samples).differences))
    return [f"random weights, {SAMPLES} random inputs", *cells, "n/a (no reader)"]


def _cells(differences: dict[str, float]) -> str:
    names = ("logits", "contribution", "map")
    return " / ".join(f"{differences[name]:.0e}" if name in differences else "-" for name in names)


def main(families: list[str]) -> None:
    """Print a row for each family or checkpoint."""
    torch.set_grad_enabled(False)
    _say("| family | model and samples | ONNX: logits / contribution / map | torch: the same | answers that change |")
    _say("| --- | --- | --- | --- | --- |")
    known = zoo.list_checkpoints()
    for name in known if families == ["all"] else families:
        start = time.process_time()
        checkpoint = name if name in known else CHECKPOINTS.get(name, f"{name}-digits")
        family = name if name in zoo.list_models() else str(zoo.load(name).name)
        with tempfile.TemporaryDirectory() as folder:
            row = of_checkpoint if checkpoint in known else of_random_weights
            try:
                cells = row(checkpoint if checkpoint in known else name, Path(folder))
            except ValueError as error:
                cells = ["not exported", str(error), "", ""]
        _say(f"| [`{family}`](../models/{family}.md) | {' | '.join(cells)} |")
        sys.stderr.write(f"{checkpoint}: {time.process_time() - start:.0f} s\n")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:] or zoo.list_models())
