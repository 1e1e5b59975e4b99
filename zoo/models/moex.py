"""MoE-X: a language model of ReLU experts, each token sent to those that will use the fewest of their neurons.

Yang et al., Mixture of Experts Made Intrinsically Interpretable, 2025. Routing by expected sparsity and ReLU make the
experts one wide, sparse MLP, whose neurons are the units.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.layers.moe.expert_decoder import Expertise, Use
from zoo.layers.moe.experts import Experts
from zoo.layers.moe.routing import GateForm, SparsityGate
from zoo.layers.transformer.neuron_units import Record
from zoo.model import SelfExplaining
from zoo.registry import register


@register
class MoEX(Expertise, SelfExplaining):
    """A decoder-only language model; an input is a context of tokens, the classes are the vocabulary.

    Units are neurons of experts, ``L2.E3.417``; see ``Expertise``. The router has no weights: see ``SparsityGate``.

    Args:
        num_classes: size of the vocabulary; filled in from the data.
        input_shape: [t], the longest context; filled in from the data.
        width: of the residual stream.
        depth: blocks.
        heads: of each block.
        experts: of each block.
        k: experts that each token is sent to.
        hidden: neurons of each expert; 0 for 4 widths over k, so that as many are at work as in a usual dense model.
        gate_form: score of an expert; ``neg_phi`` is ``neg_erf`` at twice the temperature.
        temperature: of the softmax over scores, which lie between -1 and 1.
        rotary_base: ratio between the fastest and the slowest turn of positions.
        rotary_fastest: angle of the fastest turn from one token to the next; pi tells odd from even positions.
        dropout: of what each sub-layer adds to the stream.
    """

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        input_shape: list[int] | None = None,
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        experts: int = 8,
        k: int = 2,
        hidden: int = 0,
        gate_form: GateForm = "neg_erf",
        temperature: float = 1.0,
        rotary_base: float = 1e4,
        rotary_fastest: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()

        def mlp(layer: int) -> Experts:
            gate = SparsityGate(gate_form, temperature=temperature)
            return Experts(width, hidden or -(-4 * width // max(k, 1)), gate, experts=experts, k=k)

        self.assemble(
            mlp,
            num_classes,
            input_shape,
            width=width,
            depth=depth,
            heads=heads,
            rotary_base=rotary_base,
            rotary_fastest=rotary_fastest,
            dropout=dropout,
        )

    @torch.no_grad()
    def diverge(self, loader: Iterable[Batch], *, spread: float = 0.5, seed: int = 0) -> dict[str, float]:
        """Set experts apart that are copies of one another, changing nothing of what each computes.

        The gates of copies tie on every input. A ReLU unit gives the same when its input weights are multiplied by a
        positive number and its output weights divided by it; the moments that the gate reads do not stay the same. So
        each unit of each expert is multiplied by a number of its own, log-normal, and copies are told apart by which of
        their units speak loudest. The answer is what it was: gates that differ weigh equal outputs.

        Args:
            loader: its first batch tells how the load falls.
            spread: standard deviation of the logarithm.
            seed: of the draw.

        Returns:
            The ``least`` and ``most`` load of an expert.

        Raises:
            ValueError: if ``spread`` is negative.
        """
        if spread < 0:
            raise ValueError(f"spread is {spread}; expected 0 or more")
        g = torch.Generator().manual_seed(seed)
        for layer in self.experts():
            scale = (spread * torch.randn(layer.out.shape[:2], generator=g)).exp().to(layer.inner)
            layer.inner.mul_(scale[:, None])
            layer.out.div_(scale[:, :, None])
        x = next(iter(loader)).x.to(self.device)
        seen, use = Record("route", "hidden"), Use(self)
        self.decoder(x.clamp_min(0), seen)
        use.count(seen, x >= 0)
        load: Tensor = use.load / use.load.sum(1, keepdim=True)
        return {"least": float(load.min()), "most": float(load.max())}
