"""Transformer program: trained as a transformer, read as a Python program.

Friedman, Wettig, Chen, Learning Transformer Programs, NeurIPS 2023. Every variable has one value out of a list at each
position; heads look for a value and copy or count, tables combine two values, a linear read-out answers. Choices are
soft while it learns and become hard as the temperature falls; what is evaluated, explained and exported is the program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.explanation import Explanation, Units
from zoo.model import SelfExplaining, in_order
from zoo.programs.codegen.printer import print_program
from zoo.programs.ir.interpreter import run, strengths
from zoo.programs.ir.program import Program
from zoo.programs.ir.trace import along, class_sums, places
from zoo.programs.label_positions import Questions, read_rows, shares
from zoo.programs.learn import restart_state
from zoo.programs.learn.compilation import compile_network
from zoo.programs.learn.network import Network, ReadOut, soft_logits, soft_loss, temperature
from zoo.programs.learn.restarts import lottery, unpack
from zoo.programs.learn.sizes import Shape
from zoo.programs.learn.training import Learning
from zoo.programs.reduce.shorten import lines
from zoo.registry import register
from zoo.sequence_spec import NOTHING, Frame


@register
class TransformerProgram(Learning, SelfExplaining):
    """Restarts of one network that are trained side by side, and in the end the program of the best.

    Units are the values of the variables that the read-out reads. Strength: 1 where the variable has the value at the
    position asked (for a number, the number); for a pooled program the mean over the sequence. ``where`` has the
    positions: those that the value came from, or, pooled, those that have it. Setting a unit sets what the read-out
    reads; the program is not run anew.

    Inputs are ``zoo.data.labeled_sequences``: token codes ``(b, length)``, with the position asked in
    front unless ``pooled``.

    Args:
        num_classes: c.
        sequence: what sequences look like, and the classes' names; filled in from the data.
        width: values of each variable; None for as many as positions or tokens need.
        variables: properties learned for each token; 0 to read tokens whole.
        layers: each with the following.
        heads: that copy.
        counters: heads that count.
        tables: of two categories.
        number_tables: of two numbers.
        chained: whether counters may add up counters.
        table: how tables of categories learn: as a small network, or entry by entry.
        hidden: width of those networks.
        causal: a position sees only what comes before.
        pooled: one answer for the sequence.
        restarts: trained side by side.
        identity: added to the diagonal of each predicate in the beginning: looks for the same value.
        previous: added below it, to where the value before is looked for: for positions, the one before.
        anneal: epochs, of all phases together, in which the temperature falls from ``hot`` to ``cold``.
        hot: first temperature.
        cold: last temperature.
    """

    input_kind = "tokens"
    terms = ("task",)
    code: Tensor
    accuracy: Tensor
    soft: Tensor
    rivals: Tensor
    progress: Tensor

    def __init__(
        self,
        *,
        num_classes: int,
        sequence: dict[str, Any] | None = None,
        width: int | None = None,
        variables: int = 0,
        layers: int = 1,
        heads: int = 2,
        counters: int = 2,
        tables: int = 1,
        number_tables: int = 1,
        chained: bool = False,
        table: Literal["network", "entries"] = "network",
        hidden: int = 64,
        causal: bool = False,
        pooled: bool = False,
        restarts: int = 8,
        identity: float = 0.0,
        previous: float = 0.0,
        anneal: float = 100.0,
        hot: float = 3.0,
        cold: float = 0.01,
    ) -> None:
        super().__init__()
        if not sequence:
            raise ValueError("a transformer program reads sequences of tokens; choose data that are, such as rasp")
        if restarts < 1 or anneal <= 0 or not 0 < cold <= hot:
            given = f"restarts is {restarts}, anneal {anneal}, cold {cold}, hot {hot}"
            raise ValueError(f"{given}; expected 1 or more, above 0, and 0 < cold <= hot")
        told = dict(sequence)
        self.classes = tuple(map(str, told.pop("classes", None) or range(num_classes)))
        if len(self.classes) != num_classes:
            raise ValueError(f"num_classes is {num_classes}; the sequences have {len(self.classes)} classes")
        self.frame = Frame.from_config(told)
        self.save_hyperparameters()
        self.pooled, self.anneal, self.range = pooled, anneal, (hot, cold)
        self.hparams["input_shape"] = [self.frame.length + (not pooled)]
        tokens = len(self.frame.tokens)
        shape = Shape(
            tokens,
            self.frame.length,
            num_classes,
            width or max(self.frame.length, 0 if variables else tokens),
            variables,
            layers,
            heads,
            counters,
            tables,
            number_tables,
            chained,
            table == "entries",
            hidden,
            causal,
            pooled,
        )
        self.network = Network(shape, restarts=restarts, identity=identity, previous=previous)
        self.readout = ReadOut(restarts, num_classes, shape.units)
        self.best = restart_state.Snapshot([*self.network.parameters(), *self.readout.parameters()])
        self.register_buffer("accuracy", torch.full((restarts,), -1.0))  # of each restart's best, on validation data
        self.register_buffer("soft", torch.full((restarts, 2), -1.0))  # of the same, as networks: with noise, without
        self.register_buffer("rivals", torch.zeros(0, dtype=torch.uint8))  # the program of each restart, once chosen
        self.register_buffer("progress", torch.zeros((), dtype=torch.float64))  # epochs done
        self.register_buffer("code", torch.zeros(0, dtype=torch.uint8))  # the program, once there is one
        self._known: restart_state.Read | None = None
        self.register_load_state_dict_pre_hook(lambda module, state, prefix, *_: module.resize_for(state, prefix))

    @property
    def program(self) -> Program:
        """What the model computes now: the program found, or what the leading restart would be."""
        tensors = [self.code, self.accuracy, *self.network.parameters(), *self.readout.parameters()]
        if self._known is None or not self._known.still(tensors):
            leader = 0 if len(self.code) else int(self.accuracy.argmax())
            self._known = restart_state.Read(tensors, self._compiled(leader))
        return self._known.program

    @torch.no_grad()
    def _compiled(self, restart: int) -> Program:
        weight, bias = self.readout.weight[restart].detach(), self.readout.bias[restart].detach()
        if len(self.code):
            return Program.from_json(self._text, weight, bias, classes=self.classes)
        return compile_network(self.network, restart, self.frame, self.classes, weight, bias)

    @property
    def _text(self) -> str:
        return bytes(self.code.tolist()).decode()

    @property
    def units(self) -> Units:
        """Values of variables, those of one variable being a group."""
        return Units("variable", self.program.unit_names, group=[name for name, _ in self.program.units])

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"class_sums", "extra_metrics", "program", "trace"})

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``network``, all that becomes nodes of the program, and ``readout``."""
        return {"network": self.network, "readout": self.readout}

    def part_of(self, key: str) -> str:
        """All but the read-out belongs to ``network``."""
        return "readout" if key.startswith("readout.") else "network"

    def resize_for(self, state: MutableMapping[str, Tensor], prefix: str = "") -> None:
        """Take over the number of restarts, and the size of a program, of a state about to be loaded."""
        for key in {"soft", "rivals"} if f"{prefix}code" in state else ():  # of before they were kept
            state.setdefault(prefix + key, getattr(self, key).new_zeros(0, 2) if key == "soft" else self.rivals[:0])
        restart_state.resize(self, {k.removeprefix(prefix): v.shape for k, v in state.items() if k.startswith(prefix)})
        code = state.get(f"{prefix}code")
        if code is not None and len(code) and f"{prefix}readout.weight" not in state:  # the program answers anew
            fresh = Program.from_json(bytes(code.tolist()).decode(), classes=self.classes)
            self.readout.become(fresh.weight, fresh.bias)

    # The contract.

    def encode(self, x: Tensor) -> Tensor:
        """Strength ``(b, u)`` of each unit."""
        codes, asked = self._sequences(x)
        program = self.program
        found = run(program, codes)
        whole = strengths(program, found, codes != NOTHING, None if self.pooled else asked)
        return whole[asked[:, 0]] if self.pooled else whole

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """The linear read-out."""
        if mask is not None and value is not None:
            state = torch.where(mask, value, state)
        return state @ self._weight.T + self._bias

    @property
    def _weight(self) -> Tensor:
        return self.program.weight if not len(self.code) else self.readout.weight[0]

    @property
    def _bias(self) -> Tensor:
        return self.program.bias if not len(self.code) else self.readout.bias[0]

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Weight times strength, exact."""
        strength = self.encode(x)
        logits = self.decide(strength)
        target = self.resolve_target(logits, target)
        contribution = strength * self._weight[target]
        shown = self.resolve_shown(contribution, shown)
        where = places(self.program, *self._sequences(x), strength, shown)
        return Explanation(self.units, logits, target, strength, contribution, self._bias[target], shown, where)

    def trace(self, x: Tensor) -> list[list[tuple[str, list[str]]]]:
        """Every variable at every position of the sequence, under a mark at the position asked."""
        return along(self.program, *self._sequences(x))

    def class_sums(self, x: Tensor) -> list[list[tuple[str, list[float]]]]:
        """For each question what each value of a variable adds to each class, to the logits."""
        return class_sums(self.program, *self._sequences(x))

    def source(self, x: Tensor, *, name: str, about: Iterable[str] = (), by: str = "zoo") -> str:
        """The program as a Python file, with the coverage of the inputs ``x``; see ``zoo.programs.codegen.printer``."""
        return print_program(self.program, name=name, about=tuple(about), codes=self._sequences(x)[0], by=by)

    def _sequences(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Each sequence once ``(s, length)``, and for each question its sequence and position ``(b, 2)``."""
        return read_rows(self.frame, x, pooled=self.pooled)

    # Training.

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Mean over sequences of the mean cross-entropy of their questions; of all restarts, the mean."""
        if len(self.code):
            return {"task": F.cross_entropy(self(batch.x), batch.y)}
        tau = temperature(float(self.progress) / self.anneal, *self.range)
        codes, asked = self._sequences(batch.x)
        return {"task": soft_loss(self.network, self.readout.weight, self.readout.bias, codes, asked, batch.y, tau)}

    def _soft_logits(self, codes: Tensor, asked: Tensor, *, noise: bool) -> Tensor:
        weight, bias = self.readout.weight, self.readout.bias
        return soft_logits(self.network, weight, bias, codes, asked, self.range[1], noise=noise)

    def _questions(self, loader: Iterable[Batch]) -> Questions:
        x, y = in_order((b.x.to(self.device), b.y.to(self.device), b.index.to(self.device)) for b in loader)
        codes, asked = self._sequences(x)
        return Questions(codes, asked, y)

    @torch.no_grad()
    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Whole sequences right, accuracy by length, and the size of the program."""
        rows = [(b.x, self(b.x.to(self.device)).argmax(1).cpu() == b.y) for b in loader]
        x, right = (torch.cat(c) for c in zip(*rows, strict=True))
        told = shares(self.frame, *self._sequences(x), right, pooled=self.pooled)
        told |= lottery(unpack(self.rivals), self._questions(loader))
        return told | {"variables": float(len(self.program.nodes)), "lines of the program": float(lines(self.program))}
