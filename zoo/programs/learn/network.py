"""The relaxed network that is trained and then compiled to a program: soft choices that become hard as it cools.

Every parameter has a leading restart dimension r: restarts are trained side by side and do not interact. Activations
are laid out ``(r, variable, value, position)``, with the positions of all sequences in one dimension, so that reads,
predicates and tables are large matrix products and softmax never runs over the last dimension.

Source: Friedman, Wettig, Chen, Learning Transformer Programs, NeurIPS 2023.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.programs.learn.choices import NOT_A_CHOICE, GateWidths, gate_mask, initial_gates, near_key_bias
from zoo.programs.learn.gumbel_softmax import Sampler
from zoo.programs.learn.readout import ReadOut, read_out
from zoo.programs.learn.sizes import Sizes
from zoo.sequence_spec import NOTHING

__all__ = ["Network", "ReadOut", "read_out", "soft_logits", "soft_loss", "temperature"]

CATEGORIES, NUMBERS = 0, 1  # indices into the parameters of tables


class Network(nn.Module):
    """Restarts of one relaxed network.

    Args:
        shape: sizes.
        restarts: r.
        identity: added to the diagonal of the initial logits of every predicate, so that value q looks for q.
        previous: added below the diagonal, so that value q looks for q - 1.

    Example:
        >>> network = Network(Sizes(tokens=3, length=4, classes=2, width=4), restarts=2)
        >>> stream, numbers = network(torch.tensor([[0, 1, 2, -1]]), tau=1.0)
        >>> stream.shape, numbers.shape
        (torch.Size([2, 6, 4, 4]), torch.Size([2, 2, 4]))
    """

    bias: Tensor
    visible: Tensor
    visible_numbers: Tensor

    def __init__(self, shape: Sizes, *, restarts: int = 1, identity: float = 0.0, previous: float = 0.0) -> None:
        super().__init__()
        s = shape
        r = restarts
        k = s.width
        self.shape = shape
        self.attend = s.heads + s.counters
        widths = GateWidths.of(s)
        max_categories = s.categories(s.layers)
        max_numbers = s.numbers(s.layers)
        self.gates = nn.Parameter(initial_gates(r, widths.categories, max_categories))
        self.number_gates = nn.Parameter(initial_gates(r, widths.numbers, max_numbers))
        predicates = torch.randn(r, s.layers * self.attend, k, k) / k**0.5
        predicates = predicates + identity * torch.eye(k) + previous * torch.ones(k, k).tril(-1).triu(-1)
        self.predicates = nn.Parameter(predicates)
        if s.variables:
            self.embedding = nn.Parameter(torch.randn(r, s.variables, k, s.tokens))
        if s.direct:
            self.entries = nn.Parameter(torch.randn(r, s.layers * s.tables, k, k * k) / k**0.5)
        self.first, self.first_bias, self.second, self.second_bias = (nn.ParameterList() for _ in range(4))
        for inputs, count in ((2 * k, 0 if s.direct else s.tables), (2, s.number_tables)):  # CATEGORIES, NUMBERS
            m = s.layers * count
            self.first.append(nn.Parameter(torch.randn(r, m, s.hidden, inputs) / s.hidden**0.5))
            self.first_bias.append(nn.Parameter(torch.zeros(r, m, s.hidden, 1)))
            self.second.append(nn.Parameter(torch.randn(r, m, k, s.hidden) / k**0.5))
            self.second_bias.append(nn.Parameter(torch.zeros(r, m, k, 1)))
        self.register_buffer("bias", near_key_bias(s.length), persistent=False)
        self.register_buffer("visible", gate_mask(widths.categories, max_categories), persistent=False)
        self.register_buffer("visible_numbers", gate_mask(widths.numbers, max_numbers), persistent=False)

    @property
    def restarts(self) -> int:
        """Number of restarts, r."""
        return len(self.gates)

    def forward(self, codes: Tensor, tau: float, *, hard: bool = False, noise: bool = True) -> tuple[Tensor, Tensor]:
        """Return the variables of all restarts.

        Args:
            codes: ``(b, n)`` tokens, padded with -1.
            tau: temperature of all choices.
            hard: take the most probable choice instead of sampling.
            noise: sample; else use the plain softmax.

        Returns:
            Categories ``(r, v, k, b * n)`` and numbers ``(r, counters, b * n)``.
        """
        s = self.shape
        b, n = codes.shape
        sample = Sampler(tau, hard=hard, noise=noise)
        gates = sample(self.gates.masked_fill(~self.visible, NOT_A_CHOICE), -1)  # (r, g, v)
        number_gates = sample(self.number_gates.masked_fill(~self.visible_numbers, NOT_A_CHOICE), -1)
        predicates = sample(self.predicates, -1)
        hidden = (codes == NOTHING).T[:, :, None].expand(n, b, n)  # (j, b, i)
        if s.causal:
            position = torch.arange(n, device=codes.device)
            hidden = hidden | (position[:, None, None] > position)
        stream = self._inputs(codes, sample)  # (r, v, k, b * n)
        numbers = stream.new_ones(self.restarts, 1, b * n)
        for layer in range(s.layers):
            head_gates, table_gates = _of_layer(gates, layer, 2 * self.attend + s.heads, 2 * s.tables)
            counter_gates, tally_gates = _of_layer(number_gates, layer, s.counters, 2 * s.number_tables)
            wanted = predicates[:, layer * self.attend : (layer + 1) * self.attend]
            match, value = self._match(head_gates, wanted, stream, (b, n))
            heads, counts = match.split([s.heads, s.counters], 1)
            if s.heads:
                attention = sample.attend(heads, self.bias[:n, :, :n], hidden, s.width**-0.5)
                copied = torch.einsum("rhjbi,rhkbj->rhkbi", attention, value.unflatten(3, (b, n)))
                stream = torch.cat([stream, copied.flatten(3)], 1)
            if s.counters:
                numbers = torch.cat([numbers, self._count(counts, counter_gates, numbers, hidden)], 1)
            outputs = []
            if s.tables:
                read = _read(table_gates, stream.flatten(2)).view(-1, s.tables, 2 * s.width, b * n)
                outputs.append(sample(self._table_logits(layer, CATEGORIES, read), 2))
            if s.number_tables:
                read = _read(tally_gates, numbers).view(-1, s.number_tables, 2, b * n)
                outputs.append(sample(self._table_logits(layer, NUMBERS, read), 2))
            stream = torch.cat([stream, *outputs], 1)
        return stream, numbers[:, 1:]

    def _inputs(self, codes: Tensor, sample: Sampler) -> Tensor:
        """Return the token's variables and the position, ``(r, v, k, b * n)``."""
        s = self.shape
        r = self.restarts
        b, n = codes.shape
        eye = torch.eye(s.width, dtype=self.gates.dtype, device=codes.device)
        tokens = codes.clamp_min(0).flatten()
        position = eye[:, torch.arange(n, device=codes.device).repeat(b)].expand(r, 1, s.width, b * n)
        if s.variables:
            used, index = tokens.unique(return_inverse=True)  # a word is sampled once for all its positions
            return torch.cat([sample(self.embedding[..., used], 2)[..., index], position], 1)
        return torch.cat([eye[:, tokens].expand(r, 1, s.width, b * n), position], 1)

    def _match(self, gates: Tensor, predicates: Tensor, stream: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return how well each key matches ``(r, h, j, b, i)``, and the values of the heads ``(r, h, k, b * n)``."""
        read = _read(gates, stream.flatten(2)).unflatten(2, stream.shape[2:])
        query, key, value = read.split([self.attend, self.attend, self.shape.heads], 1)
        wanted = predicates.mT @ query
        return torch.einsum("rhkbi,rhkbj->rhjbi", wanted.unflatten(3, size), key.unflatten(3, size)), value

    def _count(self, match: Tensor, gates: Tensor, numbers: Tensor, hidden: Tensor) -> Tensor:
        """Return the numbers of the counters ``(r, counters, b * n)``."""
        match = match.masked_fill(hidden, 0)
        rows = gates[:, :, : numbers.shape[1]]
        if not self.shape.chained:
            return match.sum(2).flatten(2) * rows[..., :1]  # the only choice, 1
        size = hidden.shape[1], hidden.shape[0]
        return (match * (rows @ numbers).unflatten(2, size).transpose(2, 3)[..., None]).sum(2).flatten(2)

    def _table_logits(self, layer: int, kind: int, read: Tensor) -> Tensor:
        """Return logits ``(r, m, k, p)`` of the outputs of one layer's tables, from what they read ``(r, m, d, p)``."""
        m = read.shape[1]
        rows = slice(layer * m, (layer + 1) * m)
        if kind == CATEGORIES and self.shape.direct:
            one, two = read.unflatten(2, (2, -1)).unbind(2)
            pairs = (one[:, :, :, None] * two[:, :, None]).flatten(2, 3)
            return self.entries[:, rows] @ pairs
        first, first_bias, second, second_bias = (
            p[kind][:, rows].flatten(0, 1) for p in (self.first, self.first_bias, self.second, self.second_bias)
        )
        hidden = torch.baddbmm(first_bias, first, read.flatten(0, 1)).relu_()
        return torch.baddbmm(second_bias, second, hidden).unflatten(0, (-1, m))


def _of_layer(gates: Tensor, layer: int, count: int, table_count: int) -> tuple[Tensor, Tensor]:
    """Return the gates ``(r, g, v)`` of one layer: those of its heads or counters, and those of its tables."""
    start = layer * (count + table_count)
    return gates[:, start : start + count], gates[:, start + count : start + count + table_count]


def _read(gates: Tensor, variables: Tensor) -> Tensor:
    """Return what gates ``(r, g, v)`` read of the first variables ``(r, <= v, ...)``."""
    return gates[:, :, : variables.shape[1]] @ variables


def soft_loss(
    network: Network, weight: Tensor, bias: Tensor, codes: Tensor, positions: Tensor, y: Tensor, tau: float
) -> Tensor:
    """Return the mean cross-entropy of the labels of a sequence, averaged over sequences and restarts.

    Args:
        network: restarts.
        weight: ``(r, c, u)`` their read-outs.
        bias: ``(r, c)``
        codes: ``(s, length)`` sequences.
        positions: ``(q, 2)`` sequence and position of each label; a pooled network ignores the position.
        y: ``(q,)`` classes.
        tau: temperature.
    """
    logits = soft_logits(network, weight, bias, codes, positions, tau)
    loss = F.cross_entropy(logits, y.expand(len(logits), -1), reduction="none")
    labels = torch.bincount(positions[:, 0], minlength=len(codes))[positions[:, 0]]
    return (loss / labels).sum(1).mean() / len(codes)


def soft_logits(
    network: Network, weight: Tensor, bias: Tensor, codes: Tensor, positions: Tensor, tau: float, *, noise: bool = True
) -> Tensor:
    """Return logits ``(r, c, q)`` of all restarts; arguments as of ``soft_loss``, ``noise`` as of ``Network``."""
    codes = codes[:, : int((codes != NOTHING).sum(1).max())]
    stream, numbers = network(codes, tau, noise=noise)
    column = positions[:, 0] * codes.shape[1] + positions[:, 1]
    if network.shape.pooled:
        real = (codes != NOTHING).to(stream)
        share = real / real.sum(1, keepdim=True)
        stream, numbers = ((t.unflatten(-1, codes.shape) * share).sum(-1) for t in (stream, numbers))
        column = positions[:, 0]
    return read_out(weight, bias, stream, numbers)[:, :, column]


def temperature(progress: float, start: float, end: float) -> float:
    """Return a temperature that falls geometrically from ``start`` to ``end`` as ``progress`` goes from 0 to 1.

    Example:
        >>> temperature(0.5, 4.0, 1.0)
        2.0
    """
    return start * (end / start) ** min(1.0, max(0.0, progress)) if math.isfinite(progress) else end
