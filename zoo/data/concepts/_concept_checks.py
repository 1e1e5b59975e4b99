"""Checks of the concepts of every source, and a warning about label leakage."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.data.split import Split

MIN_SAMPLES = 2  # of a class, of the other classes and of a value; fewer are no evidence
SHOWN = 5  # concepts named in the warning


def check_concepts(name: str, split: Split, schema: ConceptSchema | None) -> None:
    """Check that the concepts of a split agree with the schema.

    Raises:
        ValueError: if one of them is missing, the shape is wrong, a binary or categorical concept is neither 0, 1 nor
            NaN, a continuous one is infinite, or a categorical group is partially known or has not exactly one value;
            split, sample and concept are named.
    """
    values = split.concepts
    if values is None or schema is None:
        if values is not schema:
            present, missing = ("a concept schema", "concepts") if values is None else ("concepts", "concept schema")
            raise ValueError(f"{name} has {present} but no {missing}; give both or neither")
        return
    if values.shape != (len(split), len(schema)):
        raise ValueError(f"{name} has concepts {tuple(values.shape)}; expected {(len(split), len(schema))}")
    known = ~values.isnan()
    number = schema.columns("continuous")
    bad = known & torch.where(number, values.isinf(), (values != 0) & (values != 1))
    if bad.any():
        row, column = bad.nonzero()[0].tolist()
        expected = "a finite number" if number[column] else "0 or 1"
        raise ValueError(
            f"{name}: {split.names[row]} has {values[row, column]:g} for concept {schema.names[column]!r};"
            f" expected {expected}, or NaN where it is unknown"
        )
    members = torch.nn.functional.one_hot(schema.group_ids).float()[schema.columns("categorical")]
    if not len(members):
        return
    own = schema.columns("categorical")
    n_known, n_true = (v[:, own].float() @ members for v in (known, values.nan_to_num()))
    bad = ((n_known > 0) & ((n_known < members.sum(0)) | (n_true != 1))).nonzero()
    if len(bad):
        row, group = bad[0].tolist()
        raise ValueError(
            f"{name}: {split.names[row]} has {n_true[row, group]:g} values of the group"
            f" {schema.group_names[group]!r}; expected exactly one, or NaN in all of its columns"
        )


def leaking_concepts(y: Tensor, concepts: Tensor, schema: ConceptSchema) -> list[tuple[str, int]]:
    """Return concepts that alone separate a class from all others, in every sample where they are known.

    A binary concept separates a class if it is true for exactly that class, or false for exactly that class; a
    categorical group does if the class shares no value with another. Values of a single sample, such as an id, are
    ignored; of the rest, at least two samples of the class and two others must be known.

    Args:
        y: ``(n,)`` class.
        concepts: ``(n, m)`` NaN where unknown.
        schema: of m concepts.

    Returns:
        Pairs of the name of a binary concept or categorical group, and a class.
    """
    binary, categorical = schema.columns("binary"), schema.columns("categorical")
    value = concepts.nan_to_num()
    sides = [value[:, categorical], value[:, binary], (~concepts.isnan()).to(value)[:, binary] - value[:, binary]]
    groups, names = schema.group_ids, list(schema.group_names)
    alone = torch.arange(int(binary.sum())) + len(names)
    owner = torch.cat([groups[categorical], alone, alone])
    names += [name for name, b in zip(schema.names, binary.tolist(), strict=True) if b]
    # Each column is one value of its owner; count the samples of each class that have it.
    count = torch.zeros(int(y.max()) + 1 if len(y) else 0, len(owner)).index_add(0, y, torch.cat(sides, 1).float())
    count = count * (count.sum(0) >= MIN_SAMPLES)
    shared = ((count > 0) & (count < count.sum(0))).float()
    of_owner = lambda v: torch.zeros(len(v), len(names)).index_add(1, owner, v)  # noqa: E731
    of_class = of_owner(count)
    enough = (of_class >= MIN_SAMPLES) & (of_class.sum(0) - of_class >= MIN_SAMPLES)
    leaking = ((of_owner(shared) == 0) & enough).T.nonzero().tolist()
    return [(names[i], c) for i, c in leaking]


def warn_of_label_leakage(train: Split, schema: ConceptSchema, class_names: Sequence[str]) -> None:
    """Warn of label leakage by concepts with a ``UserWarning``; see ``leaking_concepts``."""
    assert train.concepts is not None
    leaking = leaking_concepts(train.y, train.concepts, schema)
    if leaking:
        pairs = "; ".join(f"{name!r} alone determines class {class_names[c]!r}" for name, c in leaking[:SHOWN])
        more = f"; and {len(leaking) - SHOWN} more" if len(leaking) > SHOWN else ""
        warnings.warn(
            f"label leakage: in every training sample where it is known, concept {pairs}{more}."
            " Such a concept repeats the label, and a model that uses it explains nothing",
            UserWarning,
            stacklevel=2,
        )
