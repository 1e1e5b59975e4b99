"""Concepts predicted one after another, each from the input and those before it, and their joint distribution.

Havasi et al., Addressing Leakage in Concept Bottleneck Models, NeurIPS 2022.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.concept_schema import ConceptSchema

MOST_STATES = 2**12  # joint values of all concepts that are enumerated
SMALLEST = 1e-12  # probability


class AutoregressiveConcepts(nn.Module):
    """A small MLP for each concept, whose inputs are the features and the values of the concepts before it.

    A concept is a binary column, with 2 values, or a whole categorical group. Their order is that of their first
    columns. All joint values ("states") are enumerated, so nothing is drawn and no sum is estimated.

    Args:
        inputs: width d of the features.
        schema: u columns.
        hidden: width of each MLP.

    Attributes:
        states: ``(s, u)`` all joint values of the concepts, of 0 and 1; the last concept varies fastest.

    Raises:
        ValueError: if there are more than ``MOST_STATES`` joint values.

    Example:
        >>> from zoo.concept_schema import Concept
        >>> layer = AutoregressiveConcepts(4, ConceptSchema((Concept("round"), Concept("red"))), hidden=8)
        >>> layer.states.tolist(), layer(torch.zeros(3, 4)).shape
        ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], torch.Size([3, 4]))
    """

    states: Tensor
    before: Tensor
    owner: Tensor

    def __init__(self, inputs: int, schema: ConceptSchema, hidden: int) -> None:
        super().__init__()
        self.columns = _columns(schema)
        count = math.prod(max(2, len(columns)) for columns in self.columns)
        if count > MOST_STATES:
            raise ValueError(
                f"the concepts have {count:.3g} joint values, and all are enumerated; expected at most {MOST_STATES}:"
                " choose fewer concepts, or the model scbm"
            )
        u, k = len(schema), len(self.columns)
        self.hidden = hidden
        self.from_features = nn.Linear(inputs, k * hidden)
        bound = 1 / math.sqrt(inputs + u)  # as of nn.Linear on both
        self.from_concepts = nn.Parameter(torch.empty(k, u, hidden).uniform_(-bound, bound))
        self.weight = nn.Parameter(torch.empty(u, hidden).uniform_(-1, 1) / math.sqrt(hidden))
        self.bias = nn.Parameter(torch.zeros(u))
        owner = torch.empty(u, dtype=torch.int64)
        for j, columns in enumerate(self.columns):
            owner[columns] = j
        values = [_values(len(columns)) for columns in self.columns]
        states = torch.zeros(count, u)
        if values:
            picks = torch.cartesian_prod(*[torch.arange(len(v)) for v in values]).view(count, k)
            for j, columns in enumerate(self.columns):
                states[:, columns] = values[j][picks[:, j]]
        self.register_buffer("states", states, persistent=False)
        self.register_buffer("owner", owner, persistent=False)
        self.register_buffer("before", (owner < torch.arange(k)[:, None]).float(), persistent=False)  # (k, u)

    def conditional_logits(self, features: Tensor, concepts: Tensor) -> Tensor:
        """Return the logits ``(b, u)`` of all concepts, each given those before it.

        Args:
            features: ``(b, d)``
            concepts: ``(b, u)`` their values.
        """
        h = self.from_features(features).unflatten(1, (-1, self.hidden))
        h = (h + torch.einsum("bu,kuh->bkh", concepts, self._earlier())).relu()
        return (h[:, self.owner] * self.weight).sum(-1) + self.bias

    def forward(self, features: Tensor) -> Tensor:
        """Return the logarithms ``(b, s)`` of the probabilities of all states of features ``(b, d)``.

        A concept is computed once for each joint value of those before it.
        """
        from_features = self.from_features(features).unflatten(1, (-1, self.hidden))
        earlier = self._earlier()
        total = features.new_zeros(len(features), 1)
        for j, columns in enumerate(self.columns):
            prefixes = self.states[:: len(self.states) // total.shape[1]]  # (p, u); later concepts have no weight
            h = (from_features[:, None, j] + prefixes.to(features) @ earlier[j]).relu()
            logits = h @ self.weight[columns].T + self.bias[columns]  # (b, p, 1 or values)
            both = torch.cat([-logits, logits], -1)
            each = F.logsigmoid(both) if len(columns) == 1 else logits.log_softmax(-1)
            total = (total[..., None] + each).flatten(1)
        return total

    def _earlier(self) -> Tensor:
        return self.from_concepts * self.before[..., None]


def set_marginals(log_p: Tensor, states: Tensor, mask: Tensor, value: Tensor) -> Tensor:
    """Return the probabilities ``(..., b, u)`` of columns, given those that are set.

    States are weighted by the odds of each set column over its predicted odds (Jeffrey's rule). So values of 0 and 1
    condition on the column, and a value equal to the prediction changes nothing.

    Args:
        log_p: ``(b, s)`` logarithms of the probabilities of the states.
        states: ``(s, u)`` of 0 and 1.
        mask: ``(..., b, u)`` bool, columns that are set.
        value: ``(..., b, u)`` their probabilities; of the others any number or NaN.

    Example:
        >>> states = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> log_p = torch.tensor([[0.4, 0.1, 0.1, 0.4]]).log()
        >>> mask = torch.tensor([[True, False]])
        >>> p = set_marginals(log_p, states, mask, torch.tensor([[1.0, 0.0]]))
        >>> [round(value, 4) for value in p[0].tolist()]  # 0.4 / (0.1 + 0.4)
        [1.0, 0.8]
    """
    states = states.to(log_p)
    moved = log_odds(value) - log_odds(log_p.softmax(-1) @ states)
    weights = (log_p + torch.where(mask, moved, 0.0) @ states.T).softmax(-1)
    return torch.where(mask, value.to(weights), (weights @ states).clamp_max(1.0))  # a sum is rounded


def log_odds(p: Tensor) -> Tensor:
    """Return log(p / (1 - p)), finite at 0 and 1.

    Example:
        >>> log_odds(torch.tensor([0.5, 1.0])).tolist()
        [0.0, 27.63102149963379]
    """
    return p.clamp_min(SMALLEST).log() - (1 - p).clamp_min(SMALLEST).log()


def _columns(schema: ConceptSchema) -> list[list[int]]:
    """Columns of each concept, in the order of their first."""
    categorical, group = schema.columns("categorical").tolist(), schema.group_ids.tolist()
    concepts: dict[tuple[str, int], list[int]] = {}
    for i, one in enumerate(group):
        concepts.setdefault(("group", one) if categorical[i] else ("column", i), []).append(i)
    return list(concepts.values())


def _values(columns: int) -> Tensor:
    return torch.tensor([[0.0], [1.0]]) if columns == 1 else torch.eye(columns)
