"""Predictions for scenes rendered again without some of their parts, and the importance of parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.metrics._shared_pass import SharedPass
from zoo.metrics.parts._part_importance import THRESHOLDS, contrast_classes, important_parts, part_shares
from zoo.metrics.perturbations.noise import random_bits
from zoo.metrics.record_batch import evaluating


class Scenes(Protocol):
    """One split whose scenes can be rendered again.

    Attributes:
        same: ``(c, c, p)`` bool, whether two classes have the same variant of a part.
    """

    same: Tensor

    def render(self, index: int, without: Sequence[int] = ()) -> Tensor:
        """Return a scene as an input of the model, with some parts left out."""
        ...

    def masks(self, index: int) -> Tensor:
        """Return the pixels ``(p, height, width)`` bool that show each part."""
        ...


@torch.no_grad()
def answers(model: Any, scenes: Scenes, index: Tensor, without: Tensor, *, batch: int = 64) -> Tensor:
    """Logits ``(b, n, c)`` of scenes rendered without parts; equal scenes are rendered and predicted once.

    Args:
        model: logits from inputs.
        scenes: that can be rendered.
        index: ``(b,)`` sample ids.
        without: ``(b, n, p)`` bool parts to leave out; on the model's device.
        batch: scenes predicted at a time.
    """
    b, n, p = without.shape
    rows = torch.cat([torch.arange(b)[:, None, None].expand(b, n, 1), without.cpu().long()], 2).flatten(0, 1)
    distinct, where = rows.unique(dim=0, return_inverse=True)
    ids, logits = index.tolist(), []
    for chunk in distinct.split(batch):
        made = [scenes.render(ids[row], tuple(i for i in range(p) if left_out[i])) for row, *left_out in chunk.tolist()]
        logits.append(model(torch.stack(made).to(without.device)))
    return torch.cat(logits)[where.to(without.device)].unflatten(0, (b, n))


@torch.no_grad()
def probe(model: Any, batch: Batch, scenes: Scenes, *, thresholds: Sequence[float] = THRESHOLDS) -> dict[str, Tensor]:
    """Return the arguments of ``PartInterventions.update``, from explained scenes and scenes without parts.

    The importance of a part is the sum over units of contribution times share of the unit's box that shows the part.

    Args:
        model: offers the contract; its units have places in an image.
        batch: whole scenes, on the model's device.
        scenes: the same, that can be rendered without parts.
        thresholds: as for ``PartInterventions``.

    Raises:
        ValueError: if the units have no place in an image.
    """
    model = SharedPass.of(model)
    with evaluating(model):
        x = batch.x
        explanation = model.explain(x, shown=torch.arange(len(model.units), device=x.device).expand(len(x), -1))
        if explanation.where is None or explanation.where.ndim != 4:
            raise ValueError("the units have no place in an image, so their parts are not known")
        masks = torch.stack([scenes.masks(i) for i in batch.index.tolist()]).to(x.device)
        shares = part_shares(explanation.where, masks)

        def importance(target: Tensor) -> Tensor:
            contribution = explanation.contribution
            if not torch.equal(target, explanation.target):
                contribution = model.explain(x, target=target, shown=0).contribution
            return torch.einsum("bk,bkp->bp", contribution.double(), shares)

        own, target = importance(explanation.target), explanation.target
        total = explanation.contribution.double().clamp_min(0).sum(1)
        shuffle = random_bits(batch.index.to(x.device), draw=0, count=own.shape[1]).argsort(1)
        important, random = (important_parts(one, total, thresholds) for one in (own, own.gather(1, shuffle)))
        b, t, p = important.shape
        single = torch.eye(p, dtype=torch.bool, device=x.device).expand(b, p, p)
        same = scenes.same.to(x.device)
        pair = contrast_classes(same)[batch.targets]  # (b, 2)
        none, pair = pair < 0, pair.clamp_min(0)
        shared = same[batch.targets[:, None], pair]  # (b, 2, p)
        asked = [~important, important, ~random, random, single, shared]
        logits = answers(model, scenes, batch.index, torch.cat(asked, 1))
        kept, cut, random_kept, random_cut, one, two = logits.split([t, t, t, t, p, 2], 1)
        three = torch.cat([explanation.logits[:, None], two], 1).double().gather(2, pair[:, None].expand(b, 3, 2))
        each = torch.stack([importance(pair[:, i]) for i in range(2)], 2)  # (b, p, class)
        return {
            "important": important,
            "answer": target,
            "kept": kept.argmax(2),
            "cut": cut.argmax(2),
            "importance": own,
            "random": random,
            "random_kept": random_kept.argmax(2),
            "random_cut": random_cut.argmax(2),
            "logit": explanation.logits.gather(1, target[:, None])[:, 0],
            "without": one.gather(2, target[:, None, None].expand(b, p, 1))[..., 0],
            "contrast_logits": three.masked_fill(none[:, None], torch.nan),
            "contrast_importance": torch.einsum("bsp,bpi->bsi", shared.double(), each),
        }
