"""Language models whose MLPs are mixtures of experts: balance, what is dead and what is used, starting from dense."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.explanation import Units
from zoo.layers.moe.experts import Experts
from zoo.layers.moe.routing import balance, choose
from zoo.layers.transformer.decoder import Decoder
from zoo.layers.transformer.neuron_units import Neurons, Record


class Expertise(Neurons):
    """A decoder language model of experts, explained by their hidden neurons ``L2.E3.417``: layer, expert, unit.

    A neuron's strength is its activation times its expert's gate, 0 where the expert was not chosen. So the model is
    one with wide, sparse MLPs, and everything that ``Neurons`` says of a neuron holds.
    """

    terms = ("task", "balance")
    device: Any  # Lightning's, as is the next
    all_gather: Any

    def assemble(
        self, mlp: Callable[[int], Experts], vocabulary: int | None, shape: list[int] | None, **sizes: Any
    ) -> None:
        """Make ``decoder``, with ``mlp`` in each layer, and name the neurons.

        Raises:
            ValueError: if size of the vocabulary or longest context are not known, or a size is out of range.
        """
        if vocabulary is None or not shape or len(shape) != 1:
            raise ValueError(
                f"num_classes is {vocabulary} and input_shape {shape}; expected the size of the vocabulary and"
                " [the longest context]"
            )
        self.decoder = Decoder(vocabulary, shape[0], mlp=mlp, **sizes)
        layers = [block.mlp.out.shape[:2] for block in self.decoder.blocks]
        names = [f"L{i}.E{e}.{j}" for i, (n, m) in enumerate(layers) for e in range(n) for j in range(m)]
        self._units = Units("neuron", names)

    @property
    def units(self) -> Units:
        """Neurons, named by layer, expert and place in it."""
        return self._units

    def experts(self) -> list[Experts]:
        """The experts of each layer."""
        return [block.mlp for block in self.decoder.blocks]

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Cross-entropy over all positions; ``balance`` of the experts' use there, the mean over layers, at least 1."""
        seen, real = Record("route"), batch.x >= 0
        terms = super().loss(batch, weights, seen)
        each = [balance(score[real], one.k) for score, one in zip(seen.found["route"], self.experts(), strict=True)]
        return terms | {"balance": torch.stack(each).mean()}

    # What is used.

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self._use = Use(self)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """As for every language model; counts too what the experts do."""
        seen = Record("route", "hidden")
        super().validation_step(batch, batch_idx, seen)
        self._use.count(seen, batch.x >= 0)

    def on_validation_epoch_end(self) -> None:
        """Log the share of dead neurons, ``val/dead``, and each expert's own and its share of the load."""
        fired = self.all_gather(self._use.fired).view(-1, *self._use.fired.shape).any(0)
        load = self.all_gather(self._use.load).view(-1, *self._use.load.shape).sum(0)
        self.log("val/dead", (~fired).float().mean(), prog_bar=True)
        for what, value in (("dead", (~fired).float().mean(2)), ("load", load / load.sum(1, keepdim=True))):
            for i, row in enumerate(value):
                self.log_dict({f"val/{what}.L{i}.E{e}": one for e, one in enumerate(row)})

    @torch.no_grad()
    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return super().capabilities | {"extra_metrics"}

    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """The share of dead neurons in the expert with most of them, the load of the least and the most used expert."""
        use = Use(self)
        for batch in loader:
            seen, x = Record("route", "hidden"), batch.x.to(self.device)
            self.decoder(x.clamp_min(0), seen)
            use.count(seen, x >= 0)
        dead, load = (~use.fired).double().mean(2), use.load / use.load.sum(1, keepdim=True)
        return {
            "dead neurons of the worst expert": float(dead.max()),
            "least load of an expert": float(load.min()),
            "largest load of an expert": float(load.max()),
        }

    # Starting from a dense model.

    def convert_state(self, state: Mapping[str, Tensor], source: Any) -> Mapping[str, Tensor]:
        """The MLPs of a dense model, copied to every expert: whatever the gates, the answer stays the same.

        Routers that learn start afresh.

        Raises:
            ValueError: if the experts cannot be copies: their activation is another, or they are not as wide.
        """
        own, told = self.state_dict(), {}
        for key, value in state.items():
            name = key.removesuffix(".weight")
            if ".mlp." not in key or key in own or name not in own:
                told[key] = value
                continue
            mine, theirs = self.experts()[0].activation, source.hparams.get("mlp")
            if theirs != mine:
                raise ValueError(f"finetune: the source's MLPs are {theirs}, the experts {mine}; set both alike")
            (width, hidden), (wide, units) = (
                pair if name.endswith("inner") else pair[::-1] for pair in (value.mT.shape, own[name].shape[1:])
            )
            if width != wide:
                raise ValueError(f"finetune: {key} is of width {width}, the experts of {wide}; set model.width={width}")
            if hidden != units:
                raise ValueError(
                    f"finetune: {key} has {hidden} hidden units and each expert {units}; an expert starts as a copy of"
                    f" the whole MLP: set model.hidden={hidden}"
                )
            told[name] = value.mT.expand_as(own[name])
        copied = any(".mlp." in key for key in told)
        return told | {k: v for k, v in own.items() if copied and ".mlp.router." in k and k not in told}


class Use:
    """Counts what the experts do.

    Attributes:
        fired: ``(l, e, m)`` whether a neuron was ever positive.
        load: ``(l, e)`` how often an expert was chosen.
    """

    def __init__(self, model: Expertise) -> None:
        self.layers = model.experts()
        e, _, m = self.layers[0].inner.shape
        self.fired = torch.zeros(len(self.layers), e, m, dtype=torch.bool, device=model.device)
        self.load = torch.zeros(len(self.layers), e, dtype=torch.float64, device=model.device)

    def count(self, seen: Record, real: Tensor) -> None:
        """Add a pass, at positions ``real`` ``(b, t)``."""
        for i, layer in enumerate(self.layers):
            self.fired[i] |= (seen.found["hidden"][i][real] > 0).any(0).view_as(self.fired[i])
            ids = choose(seen.found["route"][i][real], layer.k)[0]
            self.load[i] += torch.bincount(ids.flatten(), minlength=self.load.shape[1])
