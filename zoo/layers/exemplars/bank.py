"""Training samples that a model compares its inputs with: how many agree in a row, and how far the nearest one is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

CHUNK = 2**24  # numbers of a table of differences


class Matches(NamedTuple):
    """The matches of b inputs among the training samples.

    Attributes:
        similarity: ``(b,)`` nearest training samples in a row, from the nearest on, that have the answer of the input
            as their class and were themselves answered so.
        distance: ``(b,)`` float64, Euclidean distance from the nearest training sample; infinite if there is none.
        quantile: ``(b,)`` share of the validation samples of a class, the input counted as one of them, that are at
            least as far from their nearest training sample as the input is; the smallest over the classes, above 0.
    """

    similarity: Tensor
    distance: Tensor
    quantile: Tensor


class ExemplarBank(nn.Module):
    """Codes of n training samples with their classes and answers, and distances of validation samples by class.

    Args:
        width: M, length of a code.
        num_classes: c.

    Attributes:
        code: ``(n, M)``; n is 0 before ``record``.
        label: ``(n,)`` true class.
        answer: ``(n,)`` predicted class.
        index: ``(n,)`` position in the training split.
        content: ``(n,)`` content hash of the input.
        reach: ``(v,)`` float64, distance of each validation sample from its nearest training sample.
        reach_label: ``(v,)`` true class of these.

    Example:
        >>> bank = ExemplarBank(1, 2)
        >>> label = torch.tensor([0, 0, 1])
        >>> bank.record(torch.tensor([[0.0], [1.0], [5.0]]), label, label, torch.arange(3), torch.arange(3))
        >>> bank.record_reach(torch.tensor([0.5, 2.0, 1.0]), torch.tensor([0, 0, 1]))
        >>> matches = bank.match(torch.tensor([[0.4]]), torch.tensor([0]))
        >>> int(matches.similarity[0]), round(float(matches.distance[0]), 3), float(matches.quantile[0])
        (2, 0.4, 1.0)
    """

    code: Tensor
    label: Tensor
    answer: Tensor
    index: Tensor
    content: Tensor
    reach: Tensor
    reach_label: Tensor

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer("code", torch.zeros(0, width))
        for name in ("label", "answer", "index", "content"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.int64))
        self.register_buffer("reach", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("reach_label", torch.zeros(0, dtype=torch.int64))
        self.register_load_state_dict_pre_hook(_resize)

    def __len__(self) -> int:
        return len(self.code)

    def record(self, code: Tensor, label: Tensor, answer: Tensor, index: Tensor, content: Tensor) -> None:
        """Keep training samples: codes ``(n, M)``, classes, answers, positions and content hashes ``(n,)``."""
        for name, value in {"label": label, "answer": answer, "index": index, "content": content}.items():
            setattr(self, name, value.to(self.code.device, torch.int64))
        self.code = code.to(self.code).contiguous()

    def record_reach(self, distance: Tensor, label: Tensor) -> None:
        """Keep the distances ``(v,)`` of validation samples of classes ``(v,)`` from their nearest training sample."""
        self.reach = distance.to(self.code.device, torch.float64)
        self.reach_label = label.to(self.code.device, torch.int64)

    def match(self, code: Tensor, answer: Tensor, own: Tensor | None = None) -> Matches:
        """Compare inputs with the training samples; the result of an input does not depend on the others.

        Args:
            code: ``(b, M)``.
            answer: ``(b,)`` predicted classes.
            own: ``(b,)`` positions in the training split of the inputs themselves, which are not compared; None if they
                are other samples.
        """
        if torch.compiler.is_compiling():  # the graph of a file, whose number of inputs is not known
            similarity, distance = self._match(code, answer, own)
            return Matches(similarity, distance, self.quantile(distance))
        step = max(1, CHUNK // max(1, self.code.numel()))
        parts = [
            self._match(code[i : i + step], answer[i : i + step], None if own is None else own[i : i + step])
            for i in range(0, max(len(code), 1), step)
        ]
        similarity, distance = (torch.cat(column) for column in zip(*parts, strict=True))
        return Matches(similarity, distance, self.quantile(distance))

    def _match(self, code: Tensor, answer: Tensor, own: Tensor | None) -> tuple[Tensor, Tensor]:
        if not len(self):
            return torch.zeros_like(answer), torch.full(answer.shape, torch.inf, dtype=torch.float64).to(answer.device)
        distance = self.distances(code)
        if own is not None:
            distance = distance.masked_fill(self.index == own[:, None], torch.inf)
        agrees = (self.answer == answer[:, None]) & (self.label == answer[:, None])
        against = distance.masked_fill(agrees, torch.inf)
        bound, first = against.min(1, keepdim=True)  # the nearest that does not agree, the first of equals
        before = (distance < bound) | ((distance == bound) & (torch.arange(len(self)).to(first) < first))
        return (agrees & before & distance.isfinite()).sum(1), distance.amin(1)

    def distances(self, code: Tensor) -> Tensor:
        """Return the Euclidean distances ``(b, n)`` float64 of codes ``(b, M)`` from all training samples."""
        difference = code.double()[:, None] - self.code.double()
        return difference.square().sum(2).sqrt()

    def quantile(self, distance: Tensor) -> Tensor:
        """Return the smallest over the classes of the share of validation samples beyond distances ``(b,)``.

        The input counts as one of them, so that the share is never 0 and the answer stays the same however far it is.
        """
        member = (self.reach_label[:, None] == torch.arange(self.num_classes).to(self.reach_label)).double()  # (v, c)
        count = member.sum(0)
        beyond = (self.reach > distance[:, None]).double() @ member  # whole numbers: exact in any order
        return ((1 + beyond) / (1 + count)).amin(1)

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take the number of samples from a state about to be loaded."""
        for name in ("code", "label", "answer", "index", "content", "reach", "reach_label"):
            if (value := state.get(f"{prefix}{name}")) is not None:
                setattr(self, name, torch.zeros_like(value, device=self.code.device))


def _resize(module: ExemplarBank, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    module.resize_for(state, prefix)
