"""Switch transformer: a language model of experts chosen by a learnt router, what MoE-X is compared with.

Fedus, Zoph, Shazeer, Switch Transformers, 2022; with k = 2 as in GShard (Lepikhin et al., 2021).
"""

from __future__ import annotations

from typing import Literal

from zoo.layers.moe.expert_decoder import Expertise
from zoo.layers.moe.experts import Experts
from zoo.layers.moe.routing import SwitchRouter
from zoo.model import SelfExplaining
from zoo.registry import register


@register
class SwitchTransformer(Expertise, SelfExplaining):
    """A decoder-only language model; an input is a context of tokens, the classes are the vocabulary.

    Units are neurons of experts, ``L2.E3.417``; see ``Expertise``. No expert is ever full: tokens are not dropped.

    Args:
        num_classes: size of the vocabulary; filled in from the data.
        input_shape: [t], the longest context; filled in from the data.
        width: of the residual stream.
        depth: blocks.
        heads: of each block.
        experts: of each block.
        k: experts that each token is sent to; the gates of several sum to 1, that of one is its chance among all.
        hidden: neurons of each expert; 0 for 4 widths over k, so that as many are at work as in a usual dense model.
        mlp: activation of the experts.
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
        mlp: Literal["relu", "gelu"] = "gelu",
        rotary_base: float = 1e4,
        rotary_fastest: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()

        def make(layer: int) -> Experts:
            router = SwitchRouter(width, experts)
            return Experts(width, hidden or -(-4 * width // max(k, 1)), router, experts=experts, k=k, activation=mlp)

        self.assemble(
            make,
            num_classes,
            input_shape,
            width=width,
            depth=depth,
            heads=heads,
            rotary_base=rotary_base,
            rotary_fastest=rotary_fastest,
            dropout=dropout,
        )
