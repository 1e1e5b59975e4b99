"""Switch transformer: a language model of experts selected by a learned router, the baseline of MoE-X.

Source: Fedus, Zoph, Shazeer, Switch Transformers, 2022; with k = 2 as in GShard (Lepikhin et al., 2021).
"""

from __future__ import annotations

from typing import Any, Literal

from zoo.layers.moe.expert_decoder import ExpertDecoder
from zoo.layers.moe.experts import Experts
from zoo.layers.moe.routing import SwitchRouter
from zoo.registry import register


@register
class SwitchTransformer(ExpertDecoder):
    """A decoder-only language model; its units are neurons of experts, ``L2.E3.417``: see ``ExpertDecoder``.

    Experts have no capacity limit: tokens are never dropped.

    Args:
        experts: of each block.
        k: experts selected for each token; the gates of several sum to 1, that of one is its probability among all.
        hidden: neurons of each expert; 0 for 4 widths / k, so that as many are active as in a standard dense model.
        mlp: activation of the experts.
        sizes: the arguments of ``zoo.layers.transformer.language_model.LanguageModelBase``.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("switch_transformer", num_classes=9, input_shape=[6], width=8, heads=2)
        >>> model.units.names[0]
        'L0.E0.0'
    """

    def __init__(
        self,
        *,
        experts: int = 8,
        k: int = 2,
        hidden: int = 0,
        mlp: Literal["relu", "gelu"] = "gelu",
        **sizes: Any,
    ) -> None:
        super().__init__(**sizes)
        width = self.hparams["width"]

        def make_experts(layer: int) -> Experts:
            router = SwitchRouter(width, experts)
            return Experts(width, hidden or -(-4 * width // max(k, 1)), router, experts=experts, k=k, activation=mlp)

        self.build_experts(make_experts)
