"""What is asked of the concepts of every source, and a warning where one of them is the label in disguise."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.data.split import Split

LEAST = 2  # samples of a class, of the others and of a value: fewer say nothing
SHOWN = 5


def check_concepts(name: str, split: Split, schema: ConceptSchema | None) -> None:
    """Whether the concepts of a split are what the schema says.

    Raises:
        ValueError: if one is there without the other, the shape does not fit, a binary or categorical concept is
            neither 0, 1 nor NaN, a continuous one infinite, or a categorical group known in part or not one of its
            values; split, sample and concept are named.
    """
    values = split.concepts
    if values is None or schema is None:
        if values is not schema:
            there, lost = ("a concept schema", "concepts") if values is None else ("concepts", "concept schema")
            raise ValueError(f"{name} has {there} but no {lost}; give both or neither")
        return
    if values.shape != (len(split), len(schema)):
        raise ValueError(f"{name} has concepts {tuple(values.shape)}; expected {(len(split), len(schema))}")
    known, number = ~values.isnan(), schema.columns("continuous")
    bad = known & torch.where(number, values.isinf(), (values != 0) & (values != 1))
    if bad.any():
        row, column = bad.nonzero()[0].tolist()
        wanted = "a finite number" if number[column] else "0 or 1"
        raise ValueError(
            f"{name}: {split.names[row]} has {values[row, column]:g} for concept {schema.names[column]!r};"
            f" expected {wanted}, or NaN where it is unknown"
        )
    members = torch.nn.functional.one_hot(schema.group_ids).float()[schema.columns("categorical")]
    if not len(members):
        return
    own = schema.columns("categorical")
    told, held = (v[:, own].float() @ members for v in (known, values.nan_to_num()))
    bad = ((told > 0) & ((told < members.sum(0)) | (held != 1))).nonzero()
    if len(bad):
        row, group = bad[0].tolist()
        raise ValueError(
            f"{name}: {split.names[row]} has {held[row, group]:g} values of the group"
            f" {schema.group_names[group]!r}; expected exactly one, or NaN in all of its columns"
        )


def disguises(y: Tensor, concepts: Tensor, schema: ConceptSchema) -> list[tuple[str, int]]:
    """Concepts that alone tell a class from all others, in every sample where they are known.

    A binary concept tells a class if it is true of that class and of no other, or the inverse; a categorical group if
    no value of it is shared by the class and another. Values that one sample alone has, such as an id, are left out; of
    the rest, at least two of the class and two others must be known.

    Args:
        y: ``(n,)`` class.
        concepts: ``(n, m)`` NaN where unknown.
        schema: of m concepts.

    Returns:
        Pairs of a binary concept's name, or a categorical group's, and a class.
    """
    binary, categorical = schema.columns("binary"), schema.columns("categorical")
    there = concepts.nan_to_num()
    sides = [there[:, categorical], there[:, binary], (~concepts.isnan()).to(there)[:, binary] - there[:, binary]]
    groups, names = schema.group_ids, list(schema.group_names)
    alone = torch.arange(int(binary.sum())) + len(names)
    owner = torch.cat([groups[categorical], alone, alone])
    names += [name for name, b in zip(schema.names, binary.tolist(), strict=True) if b]
    # Each column is one value of its owner: how many samples of each class have it?
    count = torch.zeros(int(y.max()) + 1 if len(y) else 0, len(owner)).index_add(0, y, torch.cat(sides, 1).float())
    count = count * (count.sum(0) >= LEAST)
    shared = ((count > 0) & (count < count.sum(0))).float()
    of_owner = lambda v: torch.zeros(len(v), len(names)).index_add(1, owner, v)  # noqa: E731
    of_class = of_owner(count)
    enough = (of_class >= LEAST) & (of_class.sum(0) - of_class >= LEAST)
    found = ((of_owner(shared) == 0) & enough).T.nonzero().tolist()
    return [(names[i], c) for i, c in found]


def warn_of_disguises(train: Split, schema: ConceptSchema, class_names: Sequence[str]) -> None:
    """Say which concepts are the label in disguise, as a ``UserWarning``; see ``disguises``."""
    assert train.concepts is not None
    if found := disguises(train.y, train.concepts, schema):
        pairs = "; ".join(f"{name!r} alone tells class {class_names[c]!r}" for name, c in found[:SHOWN])
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        warnings.warn(
            f"label in disguise: in every training sample where it is known, concept {pairs}{more}."
            " Such a concept repeats the label: a model that uses it explains nothing",
            UserWarning,
            stacklevel=2,
        )
