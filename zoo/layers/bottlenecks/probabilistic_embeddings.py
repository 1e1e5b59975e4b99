"""Gaussian embeddings of concepts, and the anchors whose distance gives the probability of a concept.

Kim et al., Probabilistic Concept Bottleneck Models, ICML 2023.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALE = 5.0  # of the distances, before training


class _Head(nn.Module):
    """One vector for each concept from its own map: an affine map of its mean, and one of an attention-pooled rest."""

    def __init__(self, concepts: int, width: int, *, normalized: bool) -> None:
        super().__init__()
        self.normalized = normalized
        hidden = max(1, width // 2)
        spread = width**-0.5
        self.query = nn.Parameter(spread * torch.randn(concepts, width, hidden))
        self.score = nn.Parameter(hidden**-0.5 * torch.randn(concepts, hidden))
        self.average = nn.Parameter(spread * torch.randn(concepts, width, width))
        self.attended = nn.Parameter(spread * torch.randn(concepts, width, width))
        self.bias = nn.Parameter(torch.zeros(2, concepts, width))
        self.gain = nn.Parameter(torch.ones(concepts, width)) if normalized else None
        self.shift = nn.Parameter(torch.zeros(concepts, width)) if normalized else None

    def forward(self, maps: Tensor) -> Tensor:
        """Map features of each concept ``(b, u, w, p)`` at p places to vectors ``(b, u, w)``."""
        scores = torch.einsum("buhp,uh->bup", torch.einsum("buwp,uwh->buhp", maps, self.query).tanh(), self.score)
        attended = torch.einsum("bup,buwp->buw", scores.softmax(-1), maps)
        rest = torch.einsum("buw,uwv->buv", attended, self.attended) + self.bias[1]
        out = torch.einsum("buw,uwv->buv", maps.mean(-1), self.average) + self.bias[0]
        if self.gain is None or self.shift is None:
            return out + rest
        standard = F.layer_norm(out + rest.sigmoid(), out.shape[-1:])
        return F.normalize(standard * self.gain + self.shift, dim=-1)


class ProbabilisticEmbeddings(nn.Module):
    """A Gaussian distribution of the embedding of each concept, and two anchors of each concept: true and false.

    Args:
        inputs: width d of the features.
        concepts: u.
        width: w of one embedding.
        samples: s draws of a standard Gaussian that every prediction uses, so that it is the same each time.

    Attributes:
        anchors: ``(2, u, w)`` parameters; of length 1 as returned by ``ends``.
        scale: factor of the distances.
        noise: ``(s, w)`` the draws, the same for all concepts and inputs.

    Example:
        >>> embeddings = ProbabilisticEmbeddings(4, 3, 8, samples=5)
        >>> mean, log_variance = embeddings(torch.zeros(2, 4, 1, 1))
        >>> mean.shape, log_variance.shape, embeddings.logits(embeddings.draws(mean, log_variance)).shape
        (torch.Size([2, 3, 8]), torch.Size([2, 3, 8]), torch.Size([5, 2, 3]))
    """

    noise: Tensor

    def __init__(self, inputs: int, concepts: int, width: int, samples: int) -> None:
        super().__init__()
        self.shape = (concepts, width)
        self.project = nn.Sequential(
            nn.Conv2d(inputs, concepts * width, 1, bias=False), nn.BatchNorm2d(concepts * width), nn.ReLU()
        )
        self.mean = _Head(concepts, width, normalized=True)
        self.log_variance = _Head(concepts, width, normalized=False)
        self.anchors = nn.Parameter(torch.randn(2, concepts, width))
        self.scale = nn.Parameter(torch.tensor(SCALE))
        self.register_buffer("noise", torch.randn(samples, width, generator=torch.Generator().manual_seed(0)))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return means of length 1 and logarithms of variances ``(b, u, w)`` from features ``(b, d, h, w)``."""
        maps = self.project(features).flatten(2).unflatten(1, self.shape)
        return self.mean(maps), self.log_variance(maps)

    def ends(self) -> tuple[Tensor, Tensor]:
        """Return the anchors ``(u, w)`` of false and of true, of length 1."""
        false, true = F.normalize(self.anchors, dim=-1)
        return false, true

    def draws(self, mean: Tensor, log_variance: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return embeddings ``(s, b, u, w)`` drawn with ``noise`` ``(s, b, u, w)``; None for the fixed draws."""
        noise = self.noise[:, None, None].to(mean) if noise is None else noise
        return mean + (log_variance / 2).exp() * noise

    def logits(self, embeddings: Tensor) -> Tensor:
        """Return concept logits ``(..., u)`` of embeddings ``(..., u, w)``: how much nearer they are to true."""
        false, true = self.ends()
        return self.scale * ((embeddings - false).norm(dim=-1) - (embeddings - true).norm(dim=-1))


def interpolation(p: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights of the anchors of false and of true for a concept that is set; the mean has the rest.

    At 0 and 1 all weight is on an anchor, at the predicted probability on the predicted mean.

    Args:
        p: ``(b, u)`` predicted probability.
        value: ``(..., b, u)`` 0 to 1.

    Example:
        >>> false, true = interpolation(torch.tensor([0.6]), torch.tensor([[0.0], [0.3], [0.6], [0.8], [1.0]]))
        >>> [[round(v, 2) for v in w.flatten().tolist()] for w in (false, true)]
        [[1.0, 0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.5, 1.0]]
    """
    false = ((p - value) / p.clamp_min(1e-6)).clamp(0, 1)
    true = ((value - p) / (1 - p).clamp_min(1e-6)).clamp(0, 1)
    return false, true
