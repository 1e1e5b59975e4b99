"""Intervene: correct concepts (or any units) by name, one after another, and see what the answer becomes."""

import argparse
import sys
import tempfile
from pathlib import Path

import torch
from omegaconf import OmegaConf
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from torch import Tensor

from zoo import checkpoint
from zoo.cli import recipe
from zoo.concept_schema import ConceptSchema
from zoo.evaluation.scoring import about
from zoo.model import SelfExplaining
from zoo.paths import did_you_mean
from zoo.reporting import unit_gallery
from zoo.reporting.numbers import percent
from zoo.reporting.page import StepRow, page
from zoo.training.run import data_of, load_checkpoint, statements


def main(args: argparse.Namespace) -> None:
    """Set ``args.overrides``, such as ``has_hole=1``, on the input ``args.input``; ``data.*`` go to the data."""
    recipe("train").quiet()
    stated, overrides = statements(args.overrides)
    if not stated:
        raise ValueError("nothing to set; add concepts and values, such as has_hole=1")
    model, config = load_checkpoint(args.name, overrides)
    data = data_of(config, model)
    schema = model_schema(config)
    if not len(model.units):
        raise ValueError(f"{args.name} is a {model.name}: it has no units that could be set")
    masks, values = read_statements(model, schema, stated)
    x, known, name = recipe("explain").read(args.input, data)
    steps, told = intervene(model, x, stated, masks, values, data.class_names)
    sheet = Table(title=f"{checkpoint.title(args.name)} on {name}", title_justify="left", box=SIMPLE)
    rivals = list(dict.fromkeys((told["old"], told["new"])))
    for column in ("set", "found", "now", "answer", "chance", *(f"score of {name}" for name in rivals)):
        sheet.add_column(column, overflow="fold")
    for s in steps:
        sheet.add_row(s.name or "(nothing)", s.before, s.after, s.answer, s.chance, *(s.old, s.new)[: len(rivals)])
    Console().print(sheet)
    command = " ".join(["zoo intervene", args.name, args.input, *args.overrides])
    kind, e = checkpoint.title(args.name), told["explanation"]
    file = f"{kind}-{recipe('explain').file_name(name)}-set.html"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / file if args.dry_run else (args.out or Path("runs/intervene")) / file
        used = {int(u) for u in e.shown.flatten() if u >= 0}
        page(
            out,
            title=f"{kind} on {name}, corrected",
            explanation=e,
            pictures=data.to_image(x),
            truth=known and known.y,
            class_names=data.class_names,
            sources=unit_gallery.sources(model, data, used),
            facts=about(config, data, command),
            details=data.feature_values(x),
            traces=model.trace(x),
            sums=model.class_sums(x),
            steps=steps,
            tokens=data.token_texts(x),
            notes=unit_gallery.notes(model, data, known and known.concepts, e),
        )
    if not args.dry_run:
        sys.stdout.write(f"page  {out}\n")


def model_schema(config) -> ConceptSchema | None:
    """The concepts that the model was trained on; None for a model without."""
    found = config.model.get("concepts")
    return ConceptSchema.from_config(OmegaConf.to_container(found)) if found else None


def read_statements(
    model: SelfExplaining, schema: ConceptSchema | None, stated: dict[str, str]
) -> tuple[Tensor, Tensor]:
    """Which units ``(n, u)`` each of n statements sets, and to which strengths ``(n, u)``."""
    if schema is not None:
        concepts = torch.stack([schema.read({name: value}) for name, value in stated.items()])
        values = model.encode_concepts(concepts)
        assert values is not None
        return concepts.isfinite(), values
    names = list(model.units.names)
    values = torch.full((len(stated), len(names)), torch.nan)
    for row, (name, value) in zip(values, stated.items(), strict=True):
        if name not in names:
            raise ValueError(f"there is no {model.units.kind} {name!r}{did_you_mean(name, names)}")
        try:
            row[names.index(name)] = float(value)
        except ValueError as error:
            raise ValueError(f"{name!r} is {value!r}; expected its strength, a number") from error
    return values.isfinite(), values


@torch.no_grad()
def intervene(model, x, stated, masks, values, class_names) -> tuple[list[StepRow], dict]:
    """The answer before, and after each statement on top of those before it, from one pass over the input."""
    explanation = model.explain(x)
    n = len(stated)
    held = torch.cat([masks[:1] & False, masks]).cumsum(0) > 0  # (n + 1, u)
    value = torch.zeros(n + 1, masks.shape[1])
    for i in range(n):
        value[i + 1] = torch.where(masks[i], values[i], value[i])
    logits = model.decide(model.encode(x), held[:, None], value[:, None])[:, 0]  # (n + 1, c)
    chances, leads = logits.softmax(1), logits.argmax(1).tolist()
    old, new = leads[0], leads[-1]
    rows = [
        ("", "", ""),
        *(
            (name, sensed(explanation.strength[0], masks[i], model.units.names), said)
            for i, (name, said) in enumerate(stated.items())
        ),
    ]
    steps = [
        StepRow(
            name,
            before,
            after,
            class_names[leads[i]],
            percent(float(chances[i, leads[i]])),
            f"{float(logits[i, old]):.2f}".replace("-", "−"),
            f"{float(logits[i, new]):.2f}".replace("-", "−"),
        )
        for i, (name, before, after) in enumerate(rows)
    ]
    return steps, {"explanation": explanation, "old": class_names[old], "new": class_names[new]}


def sensed(strength: Tensor, mask: Tensor, names) -> str:
    """What the model had found of the units that a statement sets: the strongest of them."""
    ids = mask.nonzero()[:, 0]
    best = int(ids[strength[ids].argmax()])
    return f"{float(strength[best]):.3g}" if len(ids) == 1 else f"{names[best]} ({float(strength[best]):.3g})"
