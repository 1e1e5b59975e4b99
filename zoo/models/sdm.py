"""SDM: a confidence that is high only near training samples of the same class that were answered correctly.

Source: Schmaltz, Similarity-Distance-Magnitude Universal Verification, 2025, and Similarity-Distance-Magnitude
Activations, 2025.

The similarity of a training input is measured in each step against codes that are recorded between phases; there it is
measured once in each epoch. The selection of answers here is by one threshold on the probability for each class.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo.batch import Batch, content_hash
from zoo.capabilities import Sources
from zoo.explanation import Explanation, Units
from zoo.layers.backbone_model import BackboneModel
from zoo.layers.exemplars.acceptance import FARTHEST, NEVER, acceptance, limit_of
from zoo.layers.exemplars.bank import ExemplarBank, Matches
from zoo.registry import register
from zoo.runtime.gathering import in_order

DESCRIBE = (
    "This model compares an input with its training samples. Its confidence is high only if the nearest training"
    " samples are of the predicted class and were answered correctly (similarity), and if the nearest one is not"
    " farther than is usual (distance). Each latent feature adds to the score of a class or subtracts from it; the"
    " picture of a feature is the training sample in which it is strongest."
)


@register
class SDM(BackboneModel):
    """Backbone, average pooling, a linear adaptor and head, scaled by similarity and distance to training samples.

    The logits are ``d * ln(2 + q) * (W h + b)`` with the code h of an input, q the number of nearest training samples
    in a row that agree with the answer (``Matches.similarity``) and d the quantile of the nearest one
    (``Matches.quantile``). Far from all training samples d is small and the probabilities are nearly equal; before the
    first ``match`` the factor is 1. A unit is an entry of the code, its strength the mean over the cells of the map; a
    strength that is set does not change q and d.

    Args:
        width: M, length of the code.
        common: the arguments of ``zoo.layers.backbone_model.BackboneModel``.

    Attributes:
        bank: training samples and distances of validation samples.
        least: ``(c,)`` float64, probability from which an answer of each class is accepted; above 1 for classes whose
            answers are never accurate enough.
        limit: float64, distance from the nearest training sample from which on no answer is accepted.

    Example:
        >>> import torch, zoo
        >>> model = zoo.create_model("sdm", num_classes=3, backbone="mlp", input_shape=[4], width=8).eval()
        >>> model.explain(torch.zeros(2, 4)).contribution.shape
        torch.Size([2, 8])
    """

    terms = ("task", "sdm")
    default_loss = {"sdm": 0.0}
    least: Tensor
    limit: Tensor

    def __init__(self, *, width: int = 64, **common: Any) -> None:
        super().__init__(**common)
        if width < 1:
            raise ValueError(f"model.width is {width}; expected 1 or more")
        self.width = width
        self.adaptor = nn.Linear(self.backbone.channels, width)
        self.head = nn.Linear(width, self.num_classes)
        self.bank = ExemplarBank(width, self.num_classes)
        self.register_buffer("least", torch.full((self.num_classes,), NEVER, dtype=torch.float64))
        self.register_buffer("limit", torch.tensor(FARTHEST, dtype=torch.float64))

    @property
    def units(self) -> Units:
        """The entries of the code."""
        return Units("latent", [f"feature {i}" for i in range(self.width)], describe=DESCRIBE)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"extra_metrics", "sources", "trace"} if len(self.bank) else ())

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``adaptor`` and ``head``."""
        return {**self.backbone_parts(), "adaptor": self.adaptor, "head": self.head}

    def part_of(self, key: str) -> str:
        """Return ``head`` for the training samples and thresholds, too, without which it means nothing."""
        return "head" if key in ("least", "limit") or key.startswith("bank.") else super().part_of(key)

    def sources(self) -> Sources:
        """Return the training sample in which each feature is strongest."""
        best = self.bank.code.argmax(0)
        return Sources(self.bank.index[best], self.bank.content[best])

    def cells(self, x: Tensor) -> Tensor:
        """Return the code ``(b, M, h, w)`` of each cell of the map of inputs."""
        features = self.backbone(x)
        return torch.einsum("md,bdhw->bmhw", self.adaptor.weight, features) + self.adaptor.bias[:, None, None]

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the code ``(b, M)`` of inputs, and the factor ``(b, 1)`` of their logits."""
        return self._state(self.cells(x).mean((2, 3)))

    def _state(self, code: Tensor) -> tuple[Tensor, Tensor]:
        return code, self.scale(self.bank.match(code.detach(), self.head(code).argmax(1))).to(code)

    def scale(self, matches: Matches) -> Tensor:
        """Return the factor ``(b, 1)`` of the logits, float64; 1 before training samples are recorded."""
        if not len(self.bank):
            return torch.ones_like(matches.quantile)[:, None]
        return (matches.quantile * (2 + matches.similarity.double()).log())[:, None]

    def decide(self, state: tuple[Tensor, Tensor], mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Apply the head to the code, some of its entries set, and scale."""
        code, scale = state
        if mask is not None and value is not None:
            code = torch.where(mask, value.to(code), code)
        return scale * self.head(code)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by the entries of the code, exact; ``where`` is their value in each cell of the map."""
        cells = self.cells(x)
        code, scale = self._state(cells.mean((2, 3)))
        logits = self.decide((code, scale))
        target = self.resolve_target(logits, target)
        contribution = scale * self.head.weight[target] * code
        base = scale[:, 0] * self.head.bias[target]
        shown = self.resolve_shown(contribution, shown)
        where = None
        if cells.shape[2:] != (1, 1):
            ids = shown.clamp_min(0)[:, :, None, None].expand(-1, -1, *cells.shape[2:])
            where = cells.gather(1, ids) * (shown >= 0)[:, :, None, None]
        return Explanation(self.units, logits, target, code, contribution, base, shown, where)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: the loss of the unscaled logits; ``sdm``: that of the scaled ones, in logarithms of base 2 + q.

        The training samples that an input is compared with do not include itself.
        """
        code = self.cells(batch.x).mean((2, 3))
        logits = self.head(code)
        terms = {"task": self.task_loss(logits, batch)}
        if weights.get("sdm"):
            matches = self.bank.match(code.detach(), logits.argmax(1), batch.index)
            base = (2 + matches.similarity.to(logits)).log()
            each = self.task.losses(self.scale(matches).to(logits) * logits, batch.targets) / base
            weight = batch.weights.to(each)
            terms["sdm"] = (weight * each).sum() / (weight * self.task.normalizer(batch.targets)).sum()
        return terms

    # Matching.

    def matches(self, x: Tensor) -> Matches:
        """Return similarity, distance and quantile of inputs ``(b, ...)``."""
        return self._answered(x)[1]

    def accepts(self, x: Tensor) -> Tensor:
        """Return whether the answers to inputs ``(b, ...)`` are accepted, ``(b,)`` bool; the others are withheld."""
        logits, matches = self._answered(x)
        return self._accepting(logits, matches) >= self.least[logits.argmax(1)]

    def _answered(self, x: Tensor) -> tuple[Tensor, Matches]:
        """Logits ``(b, c)`` float64 and matches of inputs, from one pass and one comparison."""
        code = self.cells(x).mean((2, 3))
        own = self.head(code)
        matches = self.bank.match(code.detach(), own.argmax(1))
        return (self.scale(matches).to(code) * own).double(), matches

    @torch.no_grad()
    def match(
        self, loader: Iterable[Batch], *, val: Any = None, accuracy: float = 0.95, far: float = 0.02
    ) -> dict[str, float]:
        """Record the training samples, the distances of the validation samples, and from where answers are accepted.

        Of each class, answers are accepted from the smallest probability on at which, of the validation samples at
        least as probable, both those that are predicted to be of the class and those that are of it were answered
        correctly with the given accuracy; see ``acceptance``. Answers to inputs with a similarity of 0, and to
        those that are farther from the training samples than a share ``far`` of the validation samples, are never
        accepted.

        Args:
            loader: all training samples.
            val: true in a config: the validation samples.
            accuracy: of accepted answers, above 0 and at most 1.
            far: share of inputs like the validation samples that may be withheld because they are far; 0 for none.

        Returns:
            Validation accuracy, the share of validation answers that are accepted, and their accuracy.

        Raises:
            ValueError: if there are no validation samples, or ``accuracy`` or ``far`` is out of range.
        """
        if not val:
            raise ValueError("match measures distances of validation samples; expected val: true, and data.val above 0")
        if not 0 < accuracy <= 1:
            raise ValueError(f"accuracy is {accuracy}; expected a share, above 0 and at most 1")
        if not 0 <= far < 1:
            raise ValueError(f"far is {far}; expected a share, 0 or more and below 1")
        was_training = self.training
        self.eval()
        code, label, index, content = self._rows(loader)
        self.bank.record(code, label, self.head(code).argmax(1), index, content)
        code, label, _, _ = self._rows(val)
        answer = self.head(code).argmax(1)
        self.bank.record_reach(self.bank.match(code, answer).distance, label)
        matches = self.bank.match(code, answer)
        self.limit.fill_(limit_of(matches.distance, far))
        p = self._accepting(self.scale(matches) * self.head(code).double(), matches)
        self.least.copy_(acceptance(p, answer, label, self.num_classes, accuracy))
        taken = p >= self.least[answer]
        right = (answer == label).double()
        self.train(was_training)
        return {
            "validation accuracy": float(right.mean()),
            "accepted": float(taken.double().mean()),
            "validation accuracy of accepted answers": float(right[taken].mean()) if bool(taken.any()) else math.nan,
        }

    def _rows(self, loader: Iterable[Batch]) -> tuple[Tensor, ...]:
        """Codes, classes, positions and content hashes of a split, in its order."""
        batches = (batch.to(self.device) for batch in loader)
        return in_order(
            (self.cells(b.x).mean((2, 3)), b.targets, b.index, content_hash(b.x).to(b.index), b.index) for b in batches
        )

    def _accepting(self, logits: Tensor, matches: Matches) -> Tensor:
        """Probability ``(b,)`` of the answers; -1 where the nearest training sample does not agree or is too far."""
        nothing = (matches.similarity == 0) | (matches.distance >= self.limit)
        return logits.softmax(1).amax(1).masked_fill(nothing, -1.0)

    @torch.no_grad()
    def trace(self, x: Tensor) -> list[list[tuple[str, list[str]]]]:
        """Return for each input the answer, its matches and whether it is accepted, in words."""
        logits, matches = self._answered(x)
        p, answer = logits.softmax(1).max(1)
        accepting = self._accepting(logits, matches)
        rows = []
        for i, c in enumerate(answer.tolist()):
            least, distance = float(self.least[c]), float(matches.distance[i])
            verdict = "yes"
            if distance >= float(self.limit):
                verdict = "no, too far from all training samples"
            elif not int(matches.similarity[i]):
                verdict = "no, the nearest training sample is of another class or was answered wrongly"
            elif float(accepting[i]) < least:
                verdict = (
                    f"no, below {least:.3g}" if least <= 1 else "no, answers of this class are not accurate enough"
                )
            name = self.class_names[c] if c < len(self.class_names) else str(c)
            rows.append(
                [
                    ("answer", [name]),
                    ("nearest training samples in a row that agree", [str(int(matches.similarity[i]))]),
                    ("validation samples of a class that are as far", [f"{100 * float(matches.quantile[i]):.3g} %"]),
                    ("probability", [f"{float(p[i]):.3g}"]),
                    ("accepted", [verdict]),
                ]
            )
        return rows

    @torch.no_grad()
    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return the share of answers that are accepted, their accuracy, and how near training samples are."""
        rows = []
        for batch in loader:
            logits, matches = self._answered(batch.x.to(self.device))
            p = self._accepting(logits, matches)
            rows.append((p, logits.argmax(1), batch.targets.to(p.device), *matches[::2], batch.index.to(p.device)))
        p, answer, label, similarity, quantile = in_order(rows)
        taken = p >= self.least[answer]
        right = (answer == label).double()
        figures = {"accepted answers": float(taken.double().mean())}
        if bool(taken.any()):
            figures["accuracy of accepted answers"] = float(right[taken].mean())
            own = [right[taken & (answer == c)].mean() for c in answer[taken].unique().tolist()]
            figures["lowest accuracy of accepted answers of a class"] = float(torch.stack(own).min())
        if not bool(taken.all()):
            figures["accuracy of withheld answers"] = float(right[~taken].mean())
        figures["inputs whose nearest sample does not agree"] = float((similarity == 0).double().mean())
        figures["median similarity"] = float(similarity.double().median())
        figures["mean quantile"] = float(quantile.mean())
        return figures
