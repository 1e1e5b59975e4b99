"""Dense transformer: a standard small language model, the baseline of the interpretable language models.

Its units are the hidden neurons of its MLPs; ``zoo.layers.transformer.neuron_units`` defines their contributions.
"""

from __future__ import annotations

from zoo.explanation import Units
from zoo.layers.transformer.block import Activation
from zoo.layers.transformer.neuron_units import DESCRIBE, NeuronUnits
from zoo.registry import register


@register
class DenseTransformer(NeuronUnits):
    """A decoder-only language model; its units are neurons, ``L1.N417``.

    Args: those of ``zoo.layers.transformer.language_model.LanguageModelBase``, and
        hidden: neurons of each block; 0 for 4 widths (8/3 with swiglu).
        mlp: activation of the MLPs.

    Example:
        >>> import torch, zoo
        >>> model = zoo.create_model("dense_transformer", num_classes=9, input_shape=[6], width=8, heads=2).eval()
        >>> model(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 9])
    """

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        input_shape: list[int] | None = None,
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        hidden: int = 0,
        mlp: Activation = "gelu",
        rotary_base: float = 1e4,
        rotary_fastest: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.build_decoder(
            num_classes,
            input_shape,
            width=width,
            depth=depth,
            heads=heads,
            hidden=hidden,
            activation=mlp,
            rotary_base=rotary_base,
            rotary_fastest=rotary_fastest,
            dropout=dropout,
        )

    @property
    def units(self) -> Units:
        """Neurons, named by layer and number."""
        sizes = [block.mlp.out_features for block in self.decoder.blocks]
        names = [f"L{i}.N{j}" for i, size in enumerate(sizes) for j in range(size)]
        return Units("neuron", names, describe=DESCRIBE)
