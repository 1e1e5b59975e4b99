"""The network that is trained and then read as a program: all its choices are soft, and become hard as it cools.

Every parameter has a leading restart dimension r: restarts are trained side by side and never mix. Activations are
laid out ``(r, variable, value, position)``, positions of all sequences together, so that reads, predicates and tables
are large matrix products and softmax runs over a dimension that is not the last.

After Friedman, Wettig, Chen, Learning Transformer Programs, NeurIPS 2023.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.programs.ir.interpreter import order
from zoo.programs.learn.gumbel_softmax import Sampler
from zoo.programs.learn.sizes import Shape
from zoo.sequence_spec import NOTHING

OUT = -1e9  # logit of a choice that does not exist


class Network(nn.Module):
    """Restarts of one network.

    Args:
        shape: sizes.
        restarts: r.
        identity: added to the diagonal of every predicate's initial logits.
        previous: added to the places below it, value q looking for q - 1.
    """

    def __init__(self, shape: Shape, *, restarts: int = 1, identity: float = 0.0, previous: float = 0.0) -> None:
        super().__init__()
        self.shape, s, r = shape, shape, restarts
        attend, tables = s.heads + s.counters, s.tables + s.number_tables
        widths: list[int] = []  # variables visible to each gate
        numbers: list[int] = []
        for layer in range(s.layers):
            widths += [s.seen(layer)] * (2 * attend + s.heads) + [s.seen(layer, mid=True)] * (2 * s.tables)
            numbers += [s.numbers(layer) if s.chained else 1] * s.counters
            numbers += [s.numbers(layer, mid=True)] * (2 * s.number_tables)
        self.gates = nn.Parameter(_gate_logits(r, widths, s.seen(s.layers)))
        self.number_gates = nn.Parameter(_gate_logits(r, numbers, s.numbers(s.layers)))
        k = s.width
        start = torch.randn(r, s.layers * attend, k, k) / k**0.5
        start = start + identity * torch.eye(k) + previous * torch.ones(k, k).tril(-1).triu(-1)
        self.predicates = nn.Parameter(start)
        if s.variables:
            self.embedding = nn.Parameter(torch.randn(r, s.variables, k, s.tokens))
        if s.direct:
            self.entries = nn.Parameter(torch.randn(r, s.layers * s.tables, k, k * k) / k**0.5)
        inputs = [2 * k] * (s.tables if not s.direct else 0), [2] * s.number_tables
        self.first, self.first_bias, self.second, self.second_bias = (nn.ParameterList() for _ in range(4))
        for d, count in ((2 * k, len(inputs[0])), (2, len(inputs[1]))):  # categories, then numbers
            m = s.layers * count
            self.first.append(nn.Parameter(torch.randn(r, m, s.hidden, d) / s.hidden**0.5))
            self.first_bias.append(nn.Parameter(torch.zeros(r, m, s.hidden, 1)))
            self.second.append(nn.Parameter(torch.randn(r, m, k, s.hidden) / k**0.5))
            self.second_bias.append(nn.Parameter(torch.zeros(r, m, k, 1)))
        self.attend, self.slots = attend, tables
        self.register_buffer("bias", _nearness(s.length), persistent=False)
        self.register_buffer("visible", _mask(widths, s.seen(s.layers)), persistent=False)
        self.register_buffer("visible_numbers", _mask(numbers, s.numbers(s.layers)), persistent=False)

    bias: Tensor
    visible: Tensor
    visible_numbers: Tensor

    @property
    def restarts(self) -> int:
        """Their number, r."""
        return len(self.gates)

    def forward(self, codes: Tensor, tau: float, *, hard: bool = False, noise: bool = True) -> tuple[Tensor, Tensor]:
        """Variables of all restarts.

        Args:
            codes: ``(b, n)`` tokens, padded with -1.
            tau: temperature of all choices.
            hard: take the largest instead of sampling.
            noise: sample; else the plain softmax.

        Returns:
            Categories ``(r, v, k, b * n)`` and numbers ``(r, counters, b * n)``.
        """
        s, r = self.shape, self.restarts
        b, n = codes.shape
        sample = Sampler(tau, hard=hard, noise=noise)
        gates = sample(self.gates.masked_fill(~self.visible, OUT), -1)  # (r, g, v)
        number_gates = sample(self.number_gates.masked_fill(~self.visible_numbers, OUT), -1)
        predicates = sample(self.predicates, -1)
        hidden = (codes == NOTHING).T[:, :, None].expand(n, b, n)  # (j, b, i)
        if s.causal:
            place = torch.arange(n, device=codes.device)
            hidden = hidden | (place[:, None, None] > place)
        stream = self._start(codes, sample)  # (r, v, k, b * n)
        numbers = stream.new_ones(r, 1, b * n)
        gate, number_gate = 0, 0
        for layer in range(s.layers):
            count, seen = 2 * self.attend + s.heads, stream.shape[1]
            got = (gates[:, gate : gate + count, :seen] @ stream.flatten(2)).unflatten(2, stream.shape[2:])
            gate += count
            query, key, value = got.split([self.attend, self.attend, s.heads], 1)
            wanted = predicates[:, layer * self.attend : (layer + 1) * self.attend].mT @ query
            match = torch.einsum("rhkbi,rhkbj->rhjbi", wanted.unflatten(3, (b, n)), key.unflatten(3, (b, n)))
            heads, counts = match.split([s.heads, s.counters], 1)
            new = []
            if s.heads:
                attention = sample.attend(heads, self.bias[:n, :, :n], hidden, s.width**-0.5)
                out = torch.einsum("rhjbi,rhkbj->rhkbi", attention, value.unflatten(3, (b, n)))
                new.append(out.flatten(3))
            if s.counters:
                rows = number_gates[:, number_gate : number_gate + s.counters, : numbers.shape[1]]
                number_gate += s.counters
                counts = counts.masked_fill(hidden, 0)
                if s.chained:
                    counts = counts * (rows @ numbers).unflatten(2, (b, n)).transpose(2, 3)[..., None]
                added = counts.sum(2).flatten(2)
                added = added if s.chained else added * rows[..., :1]  # which is 1: there is nothing else to add up
                numbers = torch.cat([numbers, added], 1)
            stream = torch.cat([stream, *new], 1)
            new = []
            if s.tables:
                rows = gates[:, gate : gate + 2 * s.tables, : stream.shape[1]]
                gate += 2 * s.tables
                read = (rows @ stream.flatten(2)).view(r, s.tables, 2 * s.width, b * n)  # both reads, one on the other
                new.append(sample(self._table(layer, 0, read), 2))
            if s.number_tables:
                rows = number_gates[:, number_gate : number_gate + 2 * s.number_tables, : numbers.shape[1]]
                number_gate += 2 * s.number_tables
                read = (rows @ numbers).view(r, s.number_tables, 2, b * n)
                new.append(sample(self._table(layer, 1, read), 2))
            stream = torch.cat([stream, *new], 1)
        return stream, numbers[:, 1:]

    def _start(self, codes: Tensor, sample: Sampler) -> Tensor:
        """The token's variables and the position, ``(r, v, k, b * n)``."""
        s, r = self.shape, self.restarts
        b, n = codes.shape
        eye = torch.eye(s.width, dtype=self.gates.dtype, device=codes.device)
        tokens = codes.clamp_min(0).flatten()
        position = eye[:, torch.arange(n, device=codes.device).repeat(b)].expand(r, 1, s.width, b * n)
        if s.variables:
            used, which = tokens.unique(return_inverse=True)  # a word draws once for all its places
            return torch.cat([sample(self.embedding[..., used], 2)[..., which], position], 1)
        return torch.cat([eye[:, tokens].expand(r, 1, s.width, b * n), position], 1)

    def _table(self, layer: int, kind: int, read: Tensor) -> Tensor:
        """Logits ``(r, m, k, p)`` of the outputs of one layer's tables, from what they read."""
        m = read.shape[1]
        rows = slice(layer * m, (layer + 1) * m)
        if kind == 0 and self.shape.direct:
            one, two = read.unflatten(2, (2, -1)).unbind(2)
            both = (one[:, :, :, None] * two[:, :, None]).flatten(2, 3)
            return self.entries[:, rows] @ both
        one, one_bias, two, two_bias = (
            p[kind][:, rows].flatten(0, 1) for p in (self.first, self.first_bias, self.second, self.second_bias)
        )
        hidden = torch.baddbmm(one_bias, one, read.flatten(0, 1)).relu_()
        return torch.baddbmm(two_bias, two, hidden).unflatten(0, (-1, m))


def _gate_logits(restarts: int, widths: list[int], most: int) -> Tensor:
    scale = torch.tensor(widths, dtype=torch.get_default_dtype()).rsqrt()[:, None]
    return torch.randn(restarts, len(widths), most) * scale


def _mask(widths: list[int], most: int) -> Tensor:
    return torch.arange(most) < torch.tensor(widths, dtype=torch.int64)[:, None]


def _nearness(n: int) -> Tensor:
    """``(j, 1, i)`` what is added to the logit of a match: falls in the order in which a query takes its keys."""
    place = order(n, False).T[:, None] // n
    far = (place - 1).to(torch.get_default_dtype()) / (2 * max(1, n - 1))
    return torch.where(place == 2 * n - 1, -2.0, -far)  # itself last, and well behind


class ReadOut(nn.Module):
    """Linear read-outs of restarts: weight ``(r, c, u)``, bias ``(r, c)``.

    Args:
        restarts: r.
        classes: c.
        units: u.
    """

    def __init__(self, restarts: int, classes: int, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(restarts, classes, units) / classes**0.5)
        self.bias = nn.Parameter(torch.zeros(restarts, classes))

    @torch.no_grad()
    def become(self, weight: Tensor, bias: Tensor) -> None:
        """One read-out ``(c, u)`` and ``(c,)``, instead of those of the restarts."""
        self.weight = nn.Parameter(weight[None].clone().to(self.weight))
        self.bias = nn.Parameter(bias[None].clone().to(self.bias))


def read_out(weight: Tensor, bias: Tensor, stream: Tensor, numbers: Tensor) -> Tensor:
    """Logits ``(r, c, p)`` at every position, from the variables of ``Network`` and weights ``(r, c, u)``."""
    r = len(stream)
    split = stream.shape[1] * stream.shape[2]
    out = weight[..., :split] @ stream.view(r, split, -1) + bias[..., None]
    return out + weight[..., split:] @ numbers if numbers.shape[1] else out


def soft_loss(
    network: Network, weight: Tensor, bias: Tensor, codes: Tensor, asked: Tensor, y: Tensor, tau: float
) -> Tensor:
    """Mean over sequences of the mean cross-entropy of their questions; of all restarts, the mean.

    Args:
        network: restarts.
        weight: ``(r, c, u)`` their read-outs.
        bias: ``(r, c)``
        codes: ``(s, length)`` sequences.
        asked: ``(q, 2)`` sequence and position of each question; of a pooled network the position is not read.
        y: ``(q,)`` classes.
        tau: temperature.
    """
    logits = soft_logits(network, weight, bias, codes, asked, tau)
    each = F.cross_entropy(logits, y.expand(len(logits), -1), reduction="none")
    questions = torch.bincount(asked[:, 0], minlength=len(codes))[asked[:, 0]]
    return (each / questions).sum(1).mean() / len(codes)


def soft_logits(
    network: Network, weight: Tensor, bias: Tensor, codes: Tensor, asked: Tensor, tau: float, *, noise: bool = True
) -> Tensor:
    """Logits ``(r, c, q)`` of all restarts; arguments as of ``soft_loss``, ``noise`` as of ``Network``."""
    codes = codes[:, : int((codes != NOTHING).sum(1).max())]
    stream, numbers = network(codes, tau, noise=noise)
    column = asked[:, 0] * codes.shape[1] + asked[:, 1]
    if network.shape.pooled:
        real = (codes != NOTHING).to(stream)
        share = real / real.sum(1, keepdim=True)
        stream, numbers = ((t.unflatten(-1, codes.shape) * share).sum(-1) for t in (stream, numbers))
        column = asked[:, 0]
    return read_out(weight, bias, stream, numbers)[:, :, column]


def temperature(progress: float, start: float, end: float) -> float:
    """Geometric from ``start`` to ``end`` as ``progress`` runs from 0 to 1."""
    return start * (end / start) ** min(1.0, max(0.0, progress)) if math.isfinite(progress) else end
