"""Possible values of the concepts of a schema, for the policies of interventions."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema


class Candidates:
    """Possible values of each concept. One concept is a binary column or a whole categorical group.

    A binary concept could be 1 or 0, a categorical one each of its values. Continuous concepts have no candidates.

    Args:
        schema: m columns in g groups.

    Attributes:
        columns: ``(k, m)`` bool, the columns that a candidate sets.
        ones: ``(k, m)`` bool, which of them it sets to 1.
        of_group: ``(g, q)`` ids of the candidates of each group; short rows repeat their first, -1 for no candidates.
    """

    def __init__(self, schema: ConceptSchema) -> None:
        self.group = schema.group_ids
        self.groups = len(schema.group_names)
        binary, value = schema.columns("binary"), schema.columns("categorical")
        eye, same = torch.eye(len(schema), dtype=torch.bool), self.group[:, None] == self.group
        self.columns = torch.cat([eye[binary], eye[binary], same[value]])
        self.ones = torch.cat([eye[binary], eye[binary] & False, eye[value]])
        self._of = torch.cat([eye[binary], eye[binary], eye[value]]).int().argmax(1)  # whose chance it is
        self._false = (~self.ones.any(1))[:, None]
        first = torch.cat([eye[binary], eye[binary], same[value]]).int().argmax(1)
        columns, self._concept = first.unique(return_inverse=True)
        self._concept_group = self.group[columns]
        self._value = value
        owner = self._concept_group[self._concept]  # group of each candidate
        own = [(owner == g).nonzero()[:, 0].tolist() or [-1] for g in range(self.groups)]
        most = max(map(len, own))
        self.of_group = torch.tensor([ids + [ids[0]] * (most - len(ids)) for ids in own])

    def chances(self, predicted: Tensor) -> Tensor:
        """Return the probability ``(k, b)`` of each candidate, from concepts as predicted ``(b, m)``."""
        share = predicted.clamp(0, 1).double()
        same = (self.group[:, None] == self.group).to(share)
        whole = torch.where(self._value.to(share.device), (share @ same).clamp_min(1e-12), 1.0)
        p = (share / whole)[:, self._of.to(share.device)].T
        return torch.where(self._false.to(share.device), 1 - p, p)

    def sum(self, each: Tensor) -> Tensor:
        """``(concepts, b)`` from ``(k, b)``: summed over the candidates of a concept."""
        out = each.new_zeros(len(self._concept_group), each.shape[1])
        return out.index_add(0, self._concept.to(each.device), each)

    def mean(self, concepts: Tensor) -> Tensor:
        """``(b, g)`` from ``(concepts, b)``: mean over the concepts of a group, 0 where there are none."""
        out = concepts.new_zeros(self.groups, concepts.shape[1])
        out = out.index_add(0, self._concept_group.to(concepts.device), concepts)
        count = torch.bincount(self._concept_group, minlength=self.groups).clamp_min(1)
        return (out / count.to(out)[:, None]).T

    def mean_of_columns(self, each: Tensor) -> Tensor:
        """``(b, g)`` from ``(b, m)``: mean over the columns of a group."""
        out = each.new_zeros(len(each), self.groups).index_add(1, self.group.to(each.device), each)
        return out / torch.bincount(self.group, minlength=self.groups).to(out)
