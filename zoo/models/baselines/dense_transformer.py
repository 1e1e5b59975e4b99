"""Dense transformer: a standard small language model, the baseline of the interpretable language models.

Source: Vaswani et al., Attention Is All You Need, NeurIPS 2017; Radford et al., Language Models are Unsupervised
Multitask Learners, 2019.

Its units are the hidden neurons of its MLPs; ``zoo.layers.transformer.neuron_units`` defines their contributions.
"""

from __future__ import annotations

from typing import Any

from zoo.explanation import Units
from zoo.layers.transformer.block import Activation
from zoo.layers.transformer.neuron_units import DESCRIBE, NeuronUnits
from zoo.registry import register


@register
class DenseTransformer(NeuronUnits):
    """A decoder-only language model; its units are neurons, ``L1.N417``.

    Args:
        hidden: neurons of each block; 0 for 4 widths (8/3 with swiglu).
        mlp: activation of the MLPs.
        sizes: the arguments of ``zoo.layers.transformer.language_model.LanguageModelBase``.

    Example:
        >>> import torch, zoo
        >>> model = zoo.create_model("dense_transformer", num_classes=9, input_shape=[6], width=8, heads=2).eval()
        >>> model(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 9])
    """

    def __init__(
        self,
        *,
        hidden: int = 0,
        mlp: Activation = "gelu",
        **sizes: Any,
    ) -> None:
        super().__init__(**sizes)
        self.build_decoder(
            hidden=hidden,
            activation=mlp,
        )

    @property
    def units(self) -> Units:
        """Neurons, named by layer and number."""
        sizes = [block.mlp.out_features for block in self.decoder.blocks]
        names = [f"L{i}.N{j}" for i, size in enumerate(sizes) for j in range(size)]
        return Units("neuron", names, describe=DESCRIBE)
