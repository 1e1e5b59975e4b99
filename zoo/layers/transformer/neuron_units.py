"""Language models whose units are the hidden neurons of their MLPs: the direct, exact effect of each on a logit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.editing.operation import Operation
from zoo.editing.state import EditState
from zoo.explanation import Explanation, gather
from zoo.layers.transformer.block import Visit
from zoo.layers.transformer.language_model import LanguageModelBase

DESCRIBE = (
    "This model is a network whose hidden units are called neurons. The strength of a neuron is its activation. Every"
    " active neuron adds to the score of a class or subtracts from it. L1.17 is neuron 17 of layer 1,"
    " L1.E2.17 neuron 17 of expert 2 in layer 1; all are counted from 0."
)


class NeuronUnits(LanguageModelBase):
    """A decoder language model explained by its hidden neurons.

    A neuron's strength is its activation at the last position. Its contribution is the direct effect of that:
    activation times output weights, through the final norm with its scale held constant, times the unembedding row of
    the class. Embedding and heads are not neurons and so belong to ``base``; ``components`` splits it. Setting a
    strength sets the activation at the last position, and the later layers follow it. ``where`` is the activation at
    every position.
    """

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return super().capabilities | {"editable"}

    def setting(self, mask: Tensor, value: Tensor) -> Visit:
        """Return the visit that sets activations to ``value`` ``(n, b, u)`` where ``mask`` is true."""
        neurons = mask.shape[-1] // len(self.decoder.blocks)

        def visit(layer: int, place: str, activation: Tensor) -> Tensor:
            if place != "hidden":
                return activation
            own = slice(layer * neurons, (layer + 1) * neurons)
            return torch.where(mask[..., own], value[..., own].to(activation.dtype), activation)

        return visit

    def steer(self, x: Tensor, new: int, strengths: Mapping[int, float], **options: Any) -> Tensor:
        """Return ``generate(x, new, **options)`` with neurons set from the last position of the context on.

        Args:
            x: ``(b, t)`` contexts.
            new: number of tokens to draw.
            strengths: strength by unit id.
            options: of ``generate``.

        Raises:
            ValueError: if an id is not in the vocabulary.
        """
        self.check_values(strengths)
        mask = torch.zeros(len(self.units), dtype=torch.bool, device=x.device)
        value = torch.zeros(len(self.units), device=x.device, dtype=self.decoder.embed.weight.dtype)
        for unit, strength in strengths.items():
            mask[unit] = True
            value[unit] = strength
        return self.generate(x, new, visit=self.setting(mask, value) if strengths else None, **options)

    def edit_operations(self) -> dict[str, Operation]:
        """Return ``hold``, which sets the output weights of a neuron to 0, as if it were inactive everywhere."""
        return {"hold": Operation(self._hold, "hold it off: it adds 0 in every later pass")}

    def _hold(self, state: EditState, unit: int) -> EditState:
        neurons = len(state.origin) // len(self.decoder.blocks)
        list(self.decoder.blocks)[unit // neurons].mlp.silence(unit % neurons)
        return state.hold(unit)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by activation times direct effect on the logit, exact."""
        all_positions = PlaceRecorder("hidden")
        last_position = PlaceRecorder("hidden")
        stream = self.finish_at(self.begin_at(x, all_positions)[1], last_position)
        logits = self.decoder.read(stream)[0]
        target = self.resolve_target(logits, target)
        strength = torch.cat(last_position.values["hidden"], -1)[0]
        direction = self.decoder.readout(stream[0], target)
        contribution = strength * torch.cat([block.mlp.effects(direction) for block in self.decoder.blocks], 1)
        base = logits.gather(1, target[:, None])[:, 0] - contribution.sum(1)
        shown = self.resolve_shown(contribution, shown)
        real = x[:, : self.decoder.context] >= 0
        where = gather(torch.cat(all_positions.values["hidden"], -1).mT, shown) * real[:, None]
        return Explanation(self.units, logits, target, strength, contribution, base, shown, where)

    def activity(self, x: Tensor, units: Tensor | None = None) -> Tensor:
        """Return strengths ``(b, t, n)`` of units ``(n,)`` (None: all u) at every position of contexts ``(b, t)``."""
        hidden = self.hidden(x)
        return hidden if units is None else hidden[..., units]

    def firing(self, top: Tensor) -> Tensor:
        """Return half of the largest activation ``(n,)``; infinity for neurons that were never positive."""
        return torch.where(top > 0, top / 2, torch.inf)

    def components(self, x: Tensor, target: Tensor | None = None) -> dict[str, Tensor]:
        """Return the direct effects ``(b,)`` of embedding, each head and each MLP on the logit of ``target``, exact.

        They sum to the logit; the effect of an MLP is the sum over its neurons.
        """
        recorder = PlaceRecorder("mix", "hidden")
        state = self.begin_at(x, self.transform)[1]
        stream = self.finish_at(state, recorder)[0]
        target = self.resolve_target(self.decoder.read(stream), target)
        direction = self.decoder.readout(stream, target)
        effects = {"embedding": (self.decoder.embed(state[0]) * direction).sum(1)}
        for i, block in enumerate(self.decoder.blocks):
            weight = block.attention.out.weight.unflatten(1, (block.attention.heads, -1))
            heads = torch.einsum("bd,dhe,bhe->bh", direction, weight, recorder.values["mix"][i][0])
            effects |= {f"L{i}.H{j}": effect for j, effect in enumerate(heads.unbind(1))}
            effects[f"L{i}.MLP"] = (block.mlp.effects(direction) * recorder.values["hidden"][i][0]).sum(1)
        return effects


class PlaceRecorder:
    """A visit that records the values at some places and changes nothing.

    Args:
        places: names of places, see ``zoo.layers.transformer.decoder``.

    Attributes:
        values: for each place the recorded tensors, layer by layer.

    Example:
        >>> recorder = PlaceRecorder("hidden")
        >>> recorder(0, "hidden", torch.ones(2)).tolist(), len(recorder.values["hidden"])
        ([1.0, 1.0], 1)
    """

    def __init__(self, *places: str) -> None:
        self.places = places
        self.values: dict[str, list[Tensor]] = {place: [] for place in places}

    def __call__(self, layer: int, place: str, value: Tensor) -> Tensor:
        """Record ``value`` if its place is one of ``places``, and return it."""
        if place in self.values:
            self.values[place].append(value)
        return value
