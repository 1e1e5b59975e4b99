"""Language models whose units are the hidden neurons of their MLPs: what each adds to a logit, directly and exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.explanation import Explanation, Units, gather
from zoo.layers.transformer.decoder import Visit, same
from zoo.layers.transformer.language_model import Language


class Neurons(Language):
    """A decoder language model explained by its hidden neurons; comes before ``SelfExplaining`` among the bases.

    A neuron's strength is its activation at the last position, its contribution the direct read-out of that: activation
    times output weights, through the final norm, whose scale is held, and the unembedding row of the class. Embedding
    and heads are no neurons and so ``base``; ``components`` splits it. Setting a strength sets the activation at the
    last position, and the later layers follow it. ``where`` is the activation at every position.

    Every MLP has ``out_features`` neurons and says in ``effects`` what they add along a direction of the stream.
    """

    units: Units
    choose: Callable[[Tensor, Tensor | None], Tensor]  # these are of ``SelfExplaining``
    resolve_shown: Callable[[Tensor, int | Tensor], Tensor]
    check_values: Callable[[Mapping[int, float]], None]
    transform = staticmethod(same)  # no bottleneck anywhere

    def trainable_parts(self) -> dict[str, Any]:
        """``embed``, ``blocks``, ``norm``, ``head``."""
        return {name: getattr(self.decoder, name) for name in ("embed", "blocks", "norm", "head")}

    def setting(self, mask: Tensor, value: Tensor) -> Visit:
        """Activations as set."""
        neurons = mask.shape[-1] // len(self.decoder.blocks)

        def visit(layer: int, place: str, found: Tensor) -> Tensor:
            if place != "hidden":
                return found
            own = slice(layer * neurons, (layer + 1) * neurons)
            return torch.where(mask[..., own], value[..., own].to(found.dtype), found)

        return visit

    def steer(self, x: Tensor, new: int, held: Mapping[int, float], **options: Any) -> Tensor:
        """As ``generate``, with the strengths of some neurons held from the last position of the context on.

        Raises:
            ValueError: if an id is not in the vocabulary.
        """
        self.check_values(held)
        mask = torch.zeros(len(self.units), dtype=torch.bool, device=x.device)
        value = torch.zeros(len(self.units), device=x.device, dtype=self.decoder.embed.weight.dtype)
        for unit, strength in held.items():
            mask[unit], value[unit] = True, strength
        return self.generate(x, new, visit=self.setting(mask, value) if held else None, **options)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Activation times direct effect on the logit, exact."""
        everywhere, here = Record("hidden"), Record("hidden")
        stream = self.finish_at(self.begin_at(x, everywhere)[1], here)
        logits = self.decoder.read(stream)[0]
        target = self.resolve_target(logits, target)
        strength = torch.cat(here.found["hidden"], -1)[0]
        direction = self.decoder.readout(stream[0], target)
        contribution = strength * torch.cat([block.mlp.effects(direction) for block in self.decoder.blocks], 1)
        base = logits.gather(1, target[:, None])[:, 0] - contribution.sum(1)
        shown = self.resolve_shown(contribution, shown)
        real = x[:, : self.decoder.context] >= 0
        where = gather(torch.cat(everywhere.found["hidden"], -1).mT, shown) * real[:, None]
        return Explanation(self.units, logits, target, strength, contribution, base, shown, where)

    def activity(self, x: Tensor, units: Tensor | None = None) -> Tensor:
        """Strengths ``(b, t, n)`` of units ``(n,)`` (None for all) at every position of contexts ``(b, t)``."""
        found = self.hidden(x)
        return found if units is None else found[..., units]

    def firing(self, top: Tensor) -> Tensor:
        """Half of the largest activation; neurons that were never positive do not fire."""
        return torch.where(top > 0, top / 2, torch.inf)

    def components(self, x: Tensor, target: Tensor | None = None) -> dict[str, Tensor]:
        """What embedding, each head and each MLP add directly to the logit of ``target``, ``(b,)`` each, exact.

        They sum to the logit; the MLPs' are the sums over their neurons.
        """
        here = Record("mix", "hidden")
        state = self.begin_at(x, self.transform)[1]
        stream = self.finish_at(state, here)[0]
        target = self.resolve_target(self.decoder.read(stream), target)
        direction = self.decoder.readout(stream, target)
        told = {"embedding": (self.decoder.embed(state[0]) * direction).sum(1)}
        for i, block in enumerate(self.decoder.blocks):
            weight = block.attention.out.weight.unflatten(1, (block.attention.heads, -1))
            heads = torch.einsum("bd,dhe,bhe->bh", direction, weight, here.found["mix"][i][0])
            told |= {f"L{i}.H{j}": one for j, one in enumerate(heads.unbind(1))}
            told[f"L{i}.MLP"] = (block.mlp.effects(direction) * here.found["hidden"][i][0]).sum(1)
        return told


class Record:
    """A visit that keeps what it sees at some places, layer by layer."""

    def __init__(self, *places: str) -> None:
        self.places = places
        self.found: dict[str, list[Tensor]] = {place: [] for place in places}

    def __call__(self, layer: int, place: str, value: Tensor) -> Tensor:
        """Keep and pass on."""
        if place in self.found:
            self.found[place].append(value)
        return value
