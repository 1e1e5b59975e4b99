"""Prototypes that are channels of a feature map: a softmax over channels at every cell, aligned over two views.

Nauta et al., PIP-Net: Patch-Based Intuitive Prototypes for Interpretable Image Classification, CVPR 2023.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from zoo.batch import Batch, content_hash
from zoo.explanation import Units
from zoo.layers.prototypes.provenance import Provenance
from zoo.runtime.gathering import in_order

PRESENT = 0.1  # presence below which a prototype is absent, in eval mode
SMALL_WEIGHT = 1e-3  # weights up to this are no connection
DESCRIBE = (
    "This model predicts by patterns of patches, called prototypes, that all classes share. At every place of the image"
    " the prototypes compete for a total of 1. The strength of a prototype is its largest share at any place, 0 if that"
    " is below 0.1. Every prototype that is present then adds to the score of a class."
)


class ChannelPrototypes(Provenance):
    """A model whose prototypes are the u channels of its features, with a softmax over channels at every cell.

    A family calls ``build_channels`` and defines ``class_weights`` and ``class_loss``. Training on aligned views needs
    data with ``views=2``; each loss term is the mean over both views.
    """

    terms = ("task", "align", "tanh")

    def build_channels(self, features: int) -> None:
        """Set the layers after the backbone.

        Args:
            features: u, by a 1 x 1 convolution; 0 for the channels of the backbone themselves.

        Raises:
            ValueError: if ``features`` is negative.
        """
        if features < 0:
            raise ValueError(
                f"features is {features}; expected the number of prototypes, or 0 for the backbone's width"
            )
        width = self.backbone.channels
        layers: list[nn.Module] = [nn.Conv2d(width, features, 1)] if features else []
        self.addon = nn.Sequential(*layers, nn.Softmax(1))
        self.build_sources(features or width)

    def evidence(self, x: Tensor) -> Tensor:
        """Return the share ``(b, u, h, w)`` of each prototype at every cell; shares of a cell sum to 1."""
        return self.feature_map(x)

    def strengths(self, evidence: Tensor) -> Tensor:
        """Return the largest share ``(b, u)`` of each prototype; in eval mode 0 if it is below 0.1."""
        presence = evidence.amax((2, 3))
        return presence if self.training else presence.masked_fill(presence < PRESENT, 0.0)

    @property
    def units(self) -> Units:
        """The channels, numbered."""
        return Units("prototype", [f"prototype {n}" for n in range(len(self.source_index))], describe=DESCRIBE)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return super().capabilities | {"extra_metrics"}

    def part_of(self, key: str) -> str:
        """Return ``addon`` for the sources, which have no parameter of their own."""
        return "addon" if key.startswith("source_") else super().part_of(key)

    @abstractmethod
    def class_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the loss of logits ``(b, c)``."""

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``, ``align`` (equal shares at the same cell of two views), ``tanh`` (every prototype is used)."""
        views = [batch.x] if batch.views is None else [batch.x, batch.views[:, 0]]
        if weights.get("align") and len(views) == 1:
            raise ValueError("the batch has one view of each image; the loss term align needs data.views=2")
        shares = self.evidence(torch.cat(views)).chunk(len(views))
        presence = [self.strengths(share) for share in shares]
        terms = {"task": torch.stack([self.class_loss(self.decide(p), batch) for p in presence]).mean()}
        if weights.get("align"):
            terms["align"] = (alignment(*shares) + alignment(*shares[::-1])) / 2
        if weights.get("tanh"):
            terms["tanh"] = torch.stack([tanh_loss(p) for p in presence]).mean()
        return terms

    # Methods that a phase can name under ``then``.

    @torch.no_grad()
    def find_examples(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Record for each prototype the training image and cell in which its share is largest."""
        self.eval()
        rows = []
        width = 1
        for batch in self._moved(loader):
            evidence = self.evidence(batch.x)
            best = evidence.flatten(2).max(2)
            rows.append((best.values, best.indices, content_hash(batch.x), batch.index))
            width = evidence.shape[3]
        presence, cell, content = in_order(rows)
        largest = presence.max(0)  # the first image of ties
        place = cell.gather(0, largest.indices[None])[0]
        self.record_sources(
            index=largest.indices,
            row=place // width,
            col=place % width,
            distance=1 - largest.values.double(),
            content=content[largest.indices],
        )
        return {"present": int((largest.values >= PRESENT).sum()), "distinct images": len(largest.indices.unique())}

    @torch.no_grad()
    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return sizes of explanations and the share of images in which no prototype of any class is present."""
        scores, _ = self.score_matrix(loader)
        weights = self.class_weights()
        connected = weights.abs() > SMALL_WEIGHT
        local = ((scores[:, None] * weights).abs() > SMALL_WEIGHT).any(1).sum(1)
        return {
            "prototypes with a weight": int(connected.any(0).sum()),
            "prototypes of an explanation": float(local.double().mean()),
            "share of zero weights": float((~connected).double().mean()),
            "share of images without a prototype": float((local == 0).double().mean()),
        }


def alignment(shares: Tensor, other: Tensor) -> Tensor:
    """Return the mean of -log of the inner product of shares at the same cell of two views.

    Args:
        shares: ``(b, u, h, w)`` of one view.
        other: of the other view, without gradient.

    Example:
        >>> same = torch.eye(2).view(1, 2, 2, 1)
        >>> abs(float(alignment(same, same))) < 1e-6
        True
    """
    return -((shares * other.detach()).sum(1) + 1e-12).log().mean()


def tanh_loss(presence: Tensor) -> Tensor:
    """Return the mean over prototypes of -log tanh of their summed presence ``(b, u)`` in a batch."""
    return -(presence.sum(0).tanh() + 1e-8).log().mean()
