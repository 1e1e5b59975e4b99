"""Dense transformer: an ordinary small language model, the yardstick of the sequence families.

Its units are the hidden neurons of its MLPs. What each adds to a logit directly, by way of the residual stream, is
exact with the final norm's scale held. Embedding and heads are no neurons and so ``base``; ``components`` splits it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.explanation import Explanation, Units, gather
from zoo.models.base import SelfExplaining
from zoo.nn.language import Language
from zoo.nn.transformer import Activation, Decoder, Visit
from zoo.registry import register


@register
class DenseTransformer(Language, SelfExplaining):
    """A decoder-only language model; an input is a context of tokens, the classes are the vocabulary.

    A neuron's strength is its activation at the last position, its contribution the direct read-out of that: activation
    times output weights, through the final norm and the unembedding row of the class. Setting a strength sets the
    activation at the last position, and the later layers follow it. ``where`` is the activation at every position.

    Args:
        num_classes: size of the vocabulary; filled in from the data.
        input_shape: [t], the longest context; filled in from the data.
        width: of the residual stream.
        depth: blocks.
        heads: of each block.
        hidden: neurons of each block; 0 for 4 widths (8/3 with swiglu).
        mlp: activation.
        rotary_base: ratio between the fastest and the slowest turn of positions.
        rotary_fastest: angle of the fastest turn from one token to the next; pi tells odd from even positions.
        dropout: of what each sub-layer adds to the stream.
    """

    def __init__(
        self, *, num_classes: int | None = None, input_shape: list[int] | None = None, width: int = 128,
        depth: int = 2, heads: int = 4, hidden: int = 0, mlp: Activation = "gelu", rotary_base: float = 1e4,
        rotary_fastest: float = 1.0, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if num_classes is None or not input_shape or len(input_shape) != 1:
            raise ValueError(
                f"num_classes is {num_classes} and input_shape {input_shape}; expected the size of the vocabulary and"
                " [the longest context]"
            )
        self.save_hyperparameters()
        self.decoder = Decoder(
            num_classes, input_shape[0], width=width, depth=depth, heads=heads, hidden=hidden, activation=mlp,
            rotary_base=rotary_base, rotary_fastest=rotary_fastest, dropout=dropout,
        )  # fmt: skip
        self.neurons = self.decoder.blocks[0].mlp.out.in_features

    @property
    def units(self) -> Units:
        """Neurons, named by layer and place in it."""
        return Units("neuron", [f"L{i}.N{j}" for i in range(len(self.decoder.blocks)) for j in range(self.neurons)])

    def parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``embed``, ``blocks``, ``norm``, ``head``."""
        return {name: getattr(self.decoder, name) for name in ("embed", "blocks", "norm", "head")}

    def setting(self, mask: Tensor, value: Tensor) -> Visit:
        """Activations as set."""

        def visit(layer: int, place: str, found: Tensor) -> Tensor:
            if place != "hidden":
                return found
            own = slice(layer * self.neurons, (layer + 1) * self.neurons)
            return torch.where(mask[..., own], value[..., own], found)

        return visit

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Activation times direct effect on the logit, exact."""
        everywhere, here = Record("hidden"), Record("hidden")
        stream = self.finish_at(self.begin_at(x, everywhere)[1], here)
        logits = self.decoder.read(stream)[0]
        target = self.choose(logits, target)
        strength = torch.cat(here.found["hidden"], -1)[0]
        direction = self.decoder.readout(stream[0], target)
        effect = torch.cat([direction @ block.mlp.out.weight for block in self.decoder.blocks], 1)
        contribution = strength * effect
        base = logits.gather(1, target[:, None])[:, 0] - contribution.sum(1)
        shown = self.choose_shown(contribution, shown)
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
        state = self.begin_at(x, self.touch)[1]
        stream = self.finish_at(state, here)[0]
        target = self.choose(self.decoder.read(stream), target)
        direction = self.decoder.readout(stream, target)
        told = {"embedding": (self.decoder.embed(state[0]) * direction).sum(1)}
        for i, block in enumerate(self.decoder.blocks):
            weight = block.attention.out.weight.unflatten(1, (block.attention.heads, -1))
            heads = torch.einsum("bd,dhe,bhe->bh", direction, weight, here.found["mix"][i][0])
            told |= {f"L{i}.H{j}": one for j, one in enumerate(heads.unbind(1))}
            told[f"L{i}.MLP"] = (direction @ block.mlp.out.weight * here.found["hidden"][i][0]).sum(1)
        return told


class Record:
    """A visit that keeps what it sees at some places, layer by layer."""

    def __init__(self, *places: str) -> None:
        self.found: dict[str, list[Tensor]] = {place: [] for place in places}

    def __call__(self, layer: int, place: str, value: Tensor) -> Tensor:
        """Keep and pass on."""
        if place in self.found:
            self.found[place].append(value)
        return value
