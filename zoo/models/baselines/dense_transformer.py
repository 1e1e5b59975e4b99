"""Dense transformer: an ordinary small language model, the reference of the sequence families.

Its units are the hidden neurons of its MLPs; see ``zoo.layers.transformer.neuron_units`` for how they explain.
"""

from __future__ import annotations

from zoo.explanation import Units
from zoo.layers.transformer.decoder import Activation, Decoder
from zoo.layers.transformer.neuron_units import Neurons
from zoo.model import SelfExplaining
from zoo.registry import register


@register
class DenseTransformer(Neurons, SelfExplaining):
    """A decoder-only language model; an input is a context of tokens, the classes are the vocabulary.

    Units are neurons: ``L1.N417``.

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
        if num_classes is None or not input_shape or len(input_shape) != 1:
            raise ValueError(
                f"num_classes is {num_classes} and input_shape {input_shape}; expected the size of the vocabulary and"
                " [the longest context]"
            )
        self.save_hyperparameters()
        self.decoder = Decoder(
            num_classes,
            input_shape[0],
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
        """Neurons, named by layer and place in it."""
        neurons = self.decoder.blocks[0].mlp.out_features
        return Units("neuron", [f"L{i}.N{j}" for i in range(len(self.decoder.blocks)) for j in range(neurons)])
