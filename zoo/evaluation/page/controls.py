"""The controls of a page: what a reader can change of an input, and the numbers from which the page answers."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from zoo.capabilities import HasAffineHead, HasConcepts, HasFeatureTables, capability
from zoo.concept_schema import ConceptSchema
from zoo.explanation import Explanation
from zoo.inputs.table import TableInputs
from zoo.inputs.tables.columns import Column
from zoo.model import SelfExplaining
from zoo.reporting.interactive.recomputation import Control, Recomputation, UnitNumbers
from zoo.what_if import AffineHead, FeatureTables

MAX_NUMBERS = 20_000  # weights of an input above which only the units that are shown have controls
MAX_UNITS = 200  # controls of units of an input
MAX_CLASSES = 20  # classes above which a page has no counterfactuals of its own accord
MAX_INPUTS = 24  # the same for inputs
MAX_CHANGES = 3  # changes of a counterfactual
NO_HEAD = (
    "The answer of this model does not follow from the strengths of its {many} by one sum: what is set changes the"
    " computation after it, so that the model itself must be asked."
)
NO_UNITS = "This model has no units that could be set; change the input itself and ask the model."


@torch.no_grad()
def counterfactual_sentences(model: SelfExplaining, x: Tensor, class_names: Sequence[str]) -> list[list[str]]:
    """Return for each input the smallest change that gives another answer, in words; empty where it would take long.

    Args:
        model: in eval mode.
        x: ``(b, ...)`` the inputs.
        class_names: of the c classes.
    """
    units = capability(model, HasAffineHead) is not None and 0 < len(model.units) <= MAX_UNITS
    possible = capability(model, HasFeatureTables) is not None or units
    task = model.task
    small = task.kind == "classification" and 2 <= task.outputs <= MAX_CLASSES and len(x) <= MAX_INPUTS
    if not possible or not small:
        return []
    return [found.sentences(class_names) for found in model.counterfactual(x, max_changes=MAX_CHANGES)]


@torch.no_grad()
def recomputation(
    model: SelfExplaining,
    x: Tensor,
    explanations: Sequence[Explanation],
    *,
    checkpoint: str = "",
    inputs: Sequence[str] = (),
    many: str = "units",
    mean: Tensor | None = None,
) -> Recomputation:
    """Return what a page needs to answer to changes of explained inputs, or why it cannot.

    Args:
        model: in eval mode.
        x: ``(b, ...)`` the inputs.
        explanations: of them, the first of the predicted classes.
        checkpoint: as on the command line; empty if the model is not stored.
        inputs: b inputs as on the command line; empty if they have no name there.
        many: what the units are called.
        mean: ``(u,)`` strengths from which contributions are measured, as in the explanations; None for their own zero.
    """
    named = [shlex.join((checkpoint, name)) for name in inputs] if checkpoint else []
    tables = capability(model, HasFeatureTables)
    if tables is not None:
        numbers = tables.feature_tables()
        controls, rows = _columns(model, numbers, x)
        commands = [f"zoo explain {shlex.quote(checkpoint)}"] * len(x) if checkpoint else []
        return Recomputation(controls, tables=numbers, rows=rows, commands=commands)
    commands = [f"zoo intervene {name}" for name in named]
    affine = capability(model, HasAffineHead)
    if affine is None or not len(model.units):
        reason = NO_HEAD.format(many=many) if len(model.units) else NO_UNITS
        example = [_example(model, explanations[0], i) for i in range(len(x))]
        whole = [f"{c} {shlex.quote(e)}" for c, e in zip(commands, example, strict=True)] if commands else []
        return Recomputation(commands=whole, reason=reason)
    first, head = explanations[0], affine.affine_head(x)
    head = head if mean is None else head.from_mean(mean)
    controls = [_units(model, explanations, head, i) for i in range(len(x))]
    numbers = [_numbers(model, first, head, i, controls[i]) for i in range(len(x))]
    return Recomputation(controls, numbers, commands=commands)


def _example(model: SelfExplaining, explanation: Explanation, i: int) -> str:
    """Return a statement that switches the most important unit of an input off."""
    ids = [u for u in explanation.shown[i].tolist() if u >= 0]
    return f"{model.units.names[ids[0] if ids else 0]}=0" if len(model.units) else "UNIT=0"


def _columns(model: SelfExplaining, tables: FeatureTables, x: Tensor) -> tuple[list[list[Control]], np.ndarray]:
    """Controls of the columns that a term reads, and the rows."""
    inputs = model.inputs
    used = {axis.column for axis in tables.axes}
    if not isinstance(inputs, TableInputs):
        rows = x.flatten(1).double().cpu().numpy()
        return [[_number(tables, j, row[j]) for j in sorted(used)] for row in rows], rows
    rows = np.asarray(inputs.encoding.decode(x), dtype=np.float64)
    shown = inputs.show(x)
    columns = inputs.schema.columns
    kept = [j for j in range(len(columns)) if j in used]
    return [[_column(columns[j], row[j][1], tables, j) for j in kept] for row in shown], rows


def _column(column: Column, label: str, tables: FeatureTables, j: int) -> Control:
    if column.has_levels:
        return Control(column.name, "level", label, words=tables.levels[j])
    low, high = (column.quantiles[0], column.quantiles[-1]) if column.quantiles else (0.0, 1.0)
    whole = all(float(q).is_integer() for q in column.quantiles)
    step = 1.0 if whole else _round_step((high - low) / 200)
    return Control(column.name, "date" if column.kind == "date" else "number", label, low=low, high=high, step=step)


def _number(tables: FeatureTables, j: int, value: float) -> Control:
    """The control of a column of which only the cuts are known."""
    ends = [*tables.cuts(j), value if np.isfinite(value) else 0.0]
    low, high = float(min(ends)), float(max(ends))
    return Control(tables.names[j], "number", f"{value:.4g}", low=low, high=high, step=_round_step((high - low) / 200))


def _round_step(step: float) -> float:
    """The power of ten at or below a step, so that the values of a slider have few digits."""
    return float(f"{10.0 ** np.floor(np.log10(step)):.0e}") if step > 0 else 0.0


def _units(model: SelfExplaining, explanations: Sequence[Explanation], head: AffineHead, i: int) -> list[Control]:
    """Controls of the concepts or units of one input, the most important first."""
    first = explanations[0]
    count = len(model.units)
    strongest: list[int] = first.contribution[i].abs().argsort(descending=True).tolist()
    if count > MAX_UNITS or head.weight.shape[-2] * count > MAX_NUMBERS:
        every = [u for e in explanations for u in e.shown[i].tolist() if u >= 0]
        strongest = list(dict.fromkeys(every))
    concept_model = capability(model, HasConcepts)
    columns = model.hparams.get("concepts")
    if concept_model is None or not isinstance(columns, Mapping):
        names = model.units.names  # computed anew at each access
        return [
            Control(names[u], "switch", f"strength {float(first.strength[i, u]):.3g}", units=(u,)) for u in strongest
        ]
    schema = ConceptSchema.from_config(columns)
    values = concept_model.decode_concepts(first.strength[i : i + 1])[0]
    groups = dict.fromkeys(schema.groups[u] for u in strongest)
    return [_concept(schema, group, values) for group in groups]


def _concept(schema: ConceptSchema, group: str, values: Tensor) -> Control:
    """The control of one concept."""
    ids = tuple(u for u, name in enumerate(schema.groups) if name == group)
    concept = schema.concepts[ids[0]]
    if concept.kind == "categorical":
        words = tuple(schema.names[u].removeprefix(f"{group}: ") for u in ids)
        best = int(values[list(ids)].argmax())
        return Control(group, "choice", f"{words[best]}, {100 * float(values[ids[best]]):.0f} %", ids, words)
    if concept.kind == "continuous":
        reach = 4 * concept.std
        value = float(values[ids[0]])
        low, high = min(concept.mean - reach, value), max(concept.mean + reach, value)
        return Control(concept.name, "number", f"{value:.4g}", ids, low=low, high=high)
    share = float(values[ids[0]])
    return Control(concept.name, "yes_no", f"{'yes' if share >= 0.5 else 'no'}, {100 * share:.0f} %", ids)


def _numbers(
    model: SelfExplaining, explanation: Explanation, head: AffineHead, i: int, controls: Sequence[Control]
) -> UnitNumbers:
    """The numbers of the controlled units of one input, in double precision."""
    ids = [u for control in controls for u in control.units]
    weight = (head.weight[i] if head.weight.ndim == 3 else head.weight).double()
    offset = (head.offset[i] if head.offset.ndim == 3 else head.offset).double()
    strength = explanation.strength[i].double()
    added = weight * strength + offset  # (c, u)
    concept_model = capability(model, HasConcepts)
    u = strength.shape[0]
    ends = torch.stack([torch.zeros(u), torch.ones(u)]).to(explanation.strength)
    zero, one = (ends if concept_model is None else concept_model.encode_concepts(ends)).double()
    names = model.units.names
    others = added.sum(1) - added[:, ids].sum(1)
    return UnitNumbers(
        units=ids,
        names=[names[k] for k in ids],
        strength=strength[ids].cpu().numpy(),
        weight=weight[:, ids].cpu().numpy(),
        offset=offset[:, ids].cpu().numpy(),
        off=head.neutral.double()[ids].cpu().numpy(),
        zero=zero[ids].cpu().numpy(),
        one=one[ids].cpu().numpy(),
        others=others.cpu().numpy(),
        base=(explanation.logits[i].double() - added.sum(1)).cpu().numpy(),
        other_count=u - len(ids),
    )
