"""Language models whose MLPs are mixtures of experts: load balance, dead neurons, initialization from a dense model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.explanation import Units
from zoo.layers.moe.expert_use import ExpertUse
from zoo.layers.moe.experts import Experts
from zoo.layers.moe.routing import balance
from zoo.layers.transformer.neuron_units import DESCRIBE, NeuronUnits, PlaceRecorder
from zoo.model import SelfExplaining


class ExpertDecoder(NeuronUnits):
    """A decoder language model of experts, explained by their hidden neurons ``L2.E3.417``: layer, expert, neuron.

    A neuron's strength is its activation times the gate of its expert, 0 where the expert was not selected. So the
    model is one with wide, sparse MLPs, and everything in ``NeuronUnits`` holds.
    """

    terms = ("task", "balance")

    def build_experts(self, make_experts: Callable[[int], Experts]) -> None:
        """Set ``decoder``, with ``make_experts(layer)`` as the MLP of each layer, and name the neurons.

        Raises:
            ValueError: as for ``build_decoder``.
        """
        self.build_decoder(mlp=make_experts)
        names = [
            f"L{i}.E{e}.{j}"
            for i, layer in enumerate(self.experts())
            for e in range(layer.out.shape[0])
            for j in range(layer.out.shape[1])
        ]
        self._units = Units("neuron", names, describe=DESCRIBE)

    @property
    def units(self) -> Units:
        """Neurons, named by layer, expert and number."""
        return self._units

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return super().capabilities | {"extra_metrics"}

    def experts(self) -> list[Experts]:
        """Return the experts of each layer."""
        layers = [block.mlp for block in self.decoder.blocks]
        return [layer for layer in layers if isinstance(layer, Experts)]

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: cross-entropy; ``balance``: load balance of the experts, mean over layers, at least 1."""
        recorder = PlaceRecorder("route")
        task = self.next_token_loss(batch, recorder)
        real = batch.x >= 0
        scores = zip(recorder.values["route"], self.experts(), strict=True)
        return {"task": task, "balance": torch.stack([balance(s[real], layer.k) for s, layer in scores]).mean()}

    # Use of the experts.

    def on_validation_epoch_start(self) -> None:
        """Reset the counts of expert use."""
        self._use = ExpertUse(self.experts())

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log cross-entropy and accuracy over all positions; count the use of experts."""
        recorder = PlaceRecorder("route", "hidden")
        self.log_validation(batch, recorder)
        self._use.count(recorder, batch.x >= 0)

    def on_validation_epoch_end(self) -> None:
        """Log the fraction of dead neurons, ``val/dead``, and for each expert its own and its share of the load."""
        active = self._gathered(self._use.active).any(0)
        load = self._gathered(self._use.load).sum(0)
        self.log("val/dead", (~active).float().mean(), prog_bar=True)
        for name, value in (("dead", (~active).float().mean(2)), ("load", load / load.sum(1, keepdim=True))):
            for i, row in enumerate(value):
                self.log_dict({f"val/{name}.L{i}.E{e}": number for e, number in enumerate(row)})

    def _gathered(self, counts: Tensor) -> Tensor:
        """Counts ``(r, ...)`` of all r ranks."""
        gathered = self.all_gather(counts)
        assert isinstance(gathered, Tensor)
        return gathered.view(-1, *counts.shape)

    @torch.no_grad()
    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return the largest fraction of dead neurons of an expert and the smallest and largest load of one."""
        use = ExpertUse(self.experts())
        for batch in loader:
            x = batch.x.to(self.device)
            recorder = PlaceRecorder("route", "hidden")
            self.decoder(x.clamp_min(0), recorder)
            use.count(recorder, x >= 0)
        dead = (~use.active).double().mean(2)
        load = use.load / use.load.sum(1, keepdim=True)
        return {
            "dead neurons of the worst expert": float(dead.max()),
            "least load of an expert": float(load.min()),
            "largest load of an expert": float(load.max()),
        }

    # Initialization from a dense model.

    def convert_state(self, state: Mapping[str, Tensor], source: SelfExplaining) -> Mapping[str, Tensor]:
        """Copy the MLPs of a dense model to every expert: whatever the gates, the logits stay the same.

        Learned routers keep their own initialization.

        Raises:
            ValueError: if the experts cannot be copies: another activation, or another width.
        """
        own = self.state_dict()
        converted: dict[str, Tensor] = {}
        for key, value in state.items():
            name = key.removesuffix(".weight")
            if ".mlp." not in key or key in own or name not in own:
                converted[key] = value
                continue
            activation = self.experts()[0].activation
            source_activation = source.hparams.get("mlp")
            if source_activation != activation:
                raise ValueError(
                    f"finetune: the source's MLPs are {source_activation}, the experts {activation}; set both alike"
                )
            transposed = not name.endswith("inner")
            (width, hidden), (own_width, own_hidden) = (
                shape[::-1] if transposed else shape for shape in (value.mT.shape, own[name].shape[1:])
            )
            if width != own_width:
                raise ValueError(
                    f"finetune: {key} is of width {width}, the experts of {own_width}; set model.width={width}"
                )
            if hidden != own_hidden:
                raise ValueError(
                    f"finetune: {key} has {hidden} hidden units and each expert {own_hidden}; an expert starts as a"
                    f" copy of the whole MLP: set model.hidden={hidden}"
                )
            converted[name] = value.mT.expand_as(own[name])
        if any(".mlp." in key for key in converted):
            converted |= {k: v for k, v in own.items() if ".mlp.router." in k and k not in converted}
        return converted
