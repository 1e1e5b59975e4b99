"""MoE-X: a language model of ReLU experts, each token routed to those expected to activate the fewest neurons.

Source: Yang et al., Mixture of Experts Made Intrinsically Interpretable, 2025.

Routing by expected sparsity and ReLU make the experts one wide, sparse MLP, whose neurons are the units.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from zoo.batch import Batch
from zoo.layers.moe.expert_decoder import ExpertDecoder
from zoo.layers.moe.expert_use import ExpertUse
from zoo.layers.moe.experts import Experts
from zoo.layers.moe.routing import GateForm, SparsityGate
from zoo.layers.transformer.neuron_units import PlaceRecorder
from zoo.registry import register


@register
class MoEX(ExpertDecoder):
    """A decoder-only language model; its units are neurons of experts, ``L2.E3.417``: see ``ExpertDecoder``.

    The router has no weights: see ``SparsityGate``.

    Args:
        experts: of each block.
        k: experts selected for each token.
        hidden: neurons of each expert; 0 for 4 widths / k, so that as many are active as in a standard dense model.
        gate_form: score of an expert; ``neg_phi`` is ``neg_erf`` at twice the temperature.
        temperature: of the softmax over scores, which lie between -1 and 1.
        sizes: the arguments of ``zoo.layers.transformer.language_model.LanguageModelBase``.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("moex", num_classes=9, input_shape=[6], width=8, heads=2, experts=4)
        >>> len(model.experts()), model.units.names[-1]
        (2, 'L1.E3.15')
    """

    def __init__(
        self,
        *,
        experts: int = 8,
        k: int = 2,
        hidden: int = 0,
        gate_form: GateForm = "neg_erf",
        temperature: float = 1.0,
        **sizes: Any,
    ) -> None:
        super().__init__(**sizes)
        width = self.hparams["width"]

        def make_experts(layer: int) -> Experts:
            gate = SparsityGate(gate_form, temperature=temperature)
            return Experts(width, hidden or -(-4 * width // max(k, 1)), gate, experts=experts, k=k)

        self.build_experts(make_experts)

    @torch.no_grad()
    def diverge(self, loader: Iterable[Batch], *, spread: float = 0.5, seed: int = 0) -> dict[str, float]:
        """Make the gates of experts differ that are copies of one another, without changing what each computes.

        The gates of copies tie on every input. A ReLU unit computes the same when its input weights are multiplied by a
        positive number and its output weights divided by it, but the moments that the gate reads change. So each unit
        of each expert is rescaled by its own log-normal number, which gives copies different scores. The logits stay
        the same, because gates that differ weight equal outputs.

        Args:
            loader: its first batch measures the load.
            spread: standard deviation of the logarithm of the numbers.
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
        recorder = PlaceRecorder("route", "hidden")
        use = ExpertUse(self.experts())
        self.decoder(x.clamp_min(0), recorder)
        use.count(recorder, x >= 0)
        load = use.load / use.load.sum(1, keepdim=True)
        return {"least": float(load.min()), "most": float(load.max())}
