"""The state of a program while it is learned: restarts of one network, then the program of the best restart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.model import SelfExplaining
from zoo.programs.ir.program import Program
from zoo.programs.label_positions import LabeledPositions, read_rows
from zoo.programs.learn import restart_state
from zoo.programs.learn.compilation import compile_network
from zoo.programs.learn.network import Network, ReadOut, soft_logits, soft_loss, temperature
from zoo.programs.learn.sizes import Sizes
from zoo.runtime.gathering import in_order
from zoo.sequence_spec import Frame


class ProgramLearner(SelfExplaining):
    """Trains restarts of one network side by side by a falling temperature, and validates them as programs.

    A family calls ``build_network``. Hooks of Lightning lower the temperature, validate the program of every restart
    and keep each restart at its best epoch; ``zoo.programs.learn.program_phases`` has the methods of later phases.

    Attributes:
        frame: format of the sequences.
        classes: names of the classes.
        pooled: one prediction for a sequence, not one for a position.
        network: the restarts.
        readout: their linear read-outs, ``weight`` ``(r, c, u)`` and ``bias`` ``(r, c)``.
        best: parameters of each restart at its best epoch.
        accuracy: ``(r,)`` validation accuracy of the program of each restart at its best epoch, -1 before the first.
        soft: ``(r, 2)`` validation accuracy there as a network at the last temperature, with noise and without.
        restart_programs: bytes of the programs of all restarts when the best was selected, as
            ``zoo.programs.learn.restarts`` packs them.
        progress: epochs done, a scalar.
        code: bytes of the program, empty before ``discretise``.
    """

    input_kind = "tokens"
    weight_properties = ("units", "program")
    accuracy: Tensor
    soft: Tensor
    restart_programs: Tensor
    progress: Tensor
    code: Tensor
    frame: Frame
    classes: tuple[str, ...]
    pooled: bool

    def build_network(
        self,
        shape: Sizes,
        *,
        restarts: int,
        identity: float,
        previous: float,
        anneal: float,
        temperatures: tuple[float, float],
    ) -> None:
        """Set ``network``, ``readout`` and the state of training.

        Args:
            shape: sizes of the network.
            restarts: r.
            identity: as in ``Network``.
            previous: as in ``Network``.
            anneal: epochs in which the temperature falls.
            temperatures: first and last temperature.
        """
        self.anneal = anneal
        self.temperatures = temperatures
        self.network = Network(shape, restarts=restarts, identity=identity, previous=previous)
        self.readout = ReadOut(restarts, shape.classes, shape.units)
        self.best = restart_state.BestParameters(self._parameters_of_restarts())
        self.register_buffer("accuracy", torch.full((restarts,), -1.0))
        self.register_buffer("soft", torch.full((restarts, 2), -1.0))
        self.register_buffer("restart_programs", torch.zeros(0, dtype=torch.uint8))
        self.register_buffer("progress", torch.zeros((), dtype=torch.float64))
        self.register_buffer("code", torch.zeros(0, dtype=torch.uint8))
        self._cache: restart_state.CachedProgram | None = None
        self.register_load_state_dict_pre_hook(_resize)

    @property
    def program(self) -> Program:
        """The program of this model: the selected one, or what the leading restart would be."""
        tensors = [self.code, self.accuracy, *self._parameters_of_restarts()]
        if self._cache is None or not self._cache.is_current(tensors):
            leader = 0 if len(self.code) else int(self.accuracy.argmax())
            self._cache = restart_state.CachedProgram(tensors, self.compiled(leader))
        return self._cache.program

    @torch.no_grad()
    def compiled(self, restart: int) -> Program:
        """Return the program of a restart; after ``discretise`` there is only restart 0."""
        weight = self.readout.weight[restart].detach()
        bias = self.readout.bias[restart].detach()
        if len(self.code):
            return Program.from_json(_text(self.code), weight, bias, classes=self.classes)
        return compile_network(self.network, restart, self.frame, self.classes, weight, bias)

    def _parameters_of_restarts(self) -> list[nn.Parameter]:
        return [*self.network.parameters(), *self.readout.parameters()]

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``network``, all that becomes nodes of the program, and ``readout``."""
        return {"network": self.network, "readout": self.readout}

    def part_of(self, key: str) -> str:
        """Return ``readout`` for its tensors, otherwise ``network``."""
        return "readout" if key.startswith("readout.") else "network"

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take the number of restarts and the size of the program from a state about to be loaded."""
        if f"{prefix}code" in state and isinstance(state, MutableMapping):  # states of version 0.1 lack these two
            state.setdefault(f"{prefix}soft", self.soft.new_zeros(0, 2))
            programs = state.pop(f"{prefix}rivals", self.restart_programs[:0])  # their name before version 0.2
            state.setdefault(f"{prefix}restart_programs", programs)
        shapes = {k.removeprefix(prefix): v.shape for k, v in state.items() if k.startswith(prefix)}
        restart_state.resize(self, shapes)
        code = state.get(f"{prefix}code")
        if code is not None and len(code) and f"{prefix}readout.weight" not in state:  # the read-out is replaced
            fresh = Program.from_json(_text(code), classes=self.classes)
            self.readout.become(fresh.weight, fresh.bias)

    def sequences(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return each sequence once ``(s, length)``, and the sequence and position ``(b, 2)`` of each question."""
        return read_rows(self.frame, x, pooled=self.pooled)

    def _questions(self, loader: Iterable[Batch]) -> LabeledPositions:
        """Return all questions of a split in its order, gathered over ranks."""
        x, y = in_order((b.x.to(self.device), b.targets.to(self.device), b.index.to(self.device)) for b in loader)
        codes, asked = self.sequences(x)
        return LabeledPositions(codes, asked, y)

    # Training with Lightning.

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: mean over restarts and sequences of the mean cross-entropy of a sequence's questions."""
        if len(self.code):
            return {"task": F.cross_entropy(self(batch.x), batch.targets)}
        tau = temperature(float(self.progress) / self.anneal, *self.temperatures)
        codes, asked = self.sequences(batch.x)
        return {
            "task": soft_loss(self.network, self.readout.weight, self.readout.bias, codes, asked, batch.targets, tau)
        }

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient norm of each restart separately."""
        if gradient_clip_val is not None:
            restart_state.clip([p for g in optimizer.param_groups for p in g["params"]], gradient_clip_val)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Count epochs, on which the temperature depends."""
        super().on_train_batch_end(outputs, batch, batch_idx)
        self.progress += 1 / self.trainer.num_training_batches

    def on_validation_epoch_start(self) -> None:
        """Compile the program of every restart."""
        self._programs = [self.compiled(r) for r in range(len(self.readout.weight))]
        self._correct = torch.zeros(len(self._programs) + 1, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count correct predictions of the program of every restart, and the samples."""
        codes, asked = self.sequences(batch.x)
        questions = LabeledPositions(codes, asked, batch.targets)
        correct = [len(batch) * questions.accuracy(program) for program in self._programs]
        self._correct += torch.tensor([*correct, len(batch)])

    def on_validation_epoch_end(self) -> None:
        """Log accuracies, and keep the parameters of each restart at its best epoch."""
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(self._correct)
        now = (self._correct[:-1] / self._correct[-1]).to(self.accuracy)
        self.log("val/accuracy", now.max(), prog_bar=True)
        self.log("val/median", now.median())
        if not len(self.code):
            self.best.keep(self._parameters_of_restarts(), now >= self.accuracy)
        self.accuracy.copy_(torch.maximum(self.accuracy, now))

    @torch.no_grad()
    def training_ended(self, val: Iterable[Batch]) -> None:
        """Validate each restart at its best epoch as a network at the last temperature."""
        if len(self.code) or float(self.accuracy.max()) < 0:
            return
        parameters = self._parameters_of_restarts()
        now = restart_state.BestParameters(parameters).to(self.device)
        self.best.restore(parameters)
        correct = torch.zeros(len(self.accuracy), 2, dtype=torch.float64, device=self.device)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        weight = self.readout.weight
        bias = self.readout.bias
        for batch in val:
            y = batch.targets.to(self.device)
            codes, asked = self.sequences(batch.x.to(self.device))
            for i, noise in enumerate((True, False)):
                logits = soft_logits(self.network, weight, bias, codes, asked, self.temperatures[1], noise=noise)
                correct[:, i] += (logits.argmax(1) == y).sum(1)
            total += len(y)
        now.restore(parameters)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(correct)
            dist.all_reduce(total)
        self.soft.copy_(correct / total)


def _resize(module: nn.Module, state: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
    assert isinstance(module, ProgramLearner)
    module.resize_for(state, prefix)


def _text(code: Tensor) -> str:
    return bytes(code.tolist()).decode()
