"""Transformer program: trained as a transformer, read as a Python program.

Source: Friedman, Wettig, Chen, Learning Transformer Programs, NeurIPS 2023.

Every variable has one value out of a list at each position; heads search for a value and copy or count, tables combine
two values, a linear read-out predicts. Discrete choices are relaxed during training and become hard as the temperature
falls; what is evaluated, explained and exported is the program.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.capabilities import UnitChoice
from zoo.editing.operation import Operation
from zoo.editing.state import EditState
from zoo.explanation import Explanation, Units
from zoo.programs.codegen.printer import print_program
from zoo.programs.ir.choices import program_choices
from zoo.programs.ir.interpreter import run, strengths
from zoo.programs.ir.trace import along, class_sums, places
from zoo.programs.label_positions import shares
from zoo.programs.learn.program_phases import ProgramTraining
from zoo.programs.learn.restarts import restart_metrics, unpack
from zoo.programs.learn.sizes import Sizes
from zoo.programs.reduce.shorten import lines
from zoo.registry import register
from zoo.sequence_spec import NOTHING, Frame
from zoo.what_if import AffineHead

DESCRIBE = (
    "This model is a small program. Each of its variables takes one value of a list. The strength of a unit is 1 if the"
    " variable has the value at the queried position, its value for a number, or the mean over the sequence. Every"
    " value adds to the score of a class or subtracts from it."
)


@register
class TransformerProgram(ProgramTraining):
    """Restarts of one network that are trained side by side, and in the end the program of the best.

    Units are the values of the variables that the read-out reads. The strength is 1 if the variable has the value at
    the queried position (for a number: the number), for a pooled program the mean over the sequence. ``where`` has the
    positions that the value came from or, pooled, those that have it. Setting a unit changes the input of the read-out;
    the program is not run again.

    Inputs are those of ``zoo.data.labeled_sequences``: token codes ``(b, length)``, after the queried position unless
    ``pooled``.

    Args:
        num_classes: c.
        sequence: format of the sequences and names of the classes; filled in from the data.
        width: values of each variable; None for as many as positions or tokens need.
        variables: properties learned for each token; 0 to use the token itself.
        layers: number of layers, each with the following.
        heads: that copy.
        counters: heads that count.
        tables: of two categories.
        number_tables: of two numbers.
        chained: whether counters can add up counters.
        table: how tables of categories are learned: as a small network, or entry by entry.
        hidden: width of those networks.
        causal: a position attends only to itself and those before it.
        pooled: one prediction for the sequence.
        restarts: trained side by side.
        identity: added at initialization to the diagonal of each predicate, which searches for the same value.
        previous: added below the diagonal, which searches for the value before; for positions, the one before.
        anneal: epochs, over all phases, in which the temperature falls from ``hot`` to ``cold``.
        hot: first temperature.
        cold: last temperature.

    Example:
        >>> import torch, zoo
        >>> frame = {"tokens": ["a", "b"], "length": 3, "classes": ["no", "yes"]}
        >>> model = zoo.create_model("transformer_program", num_classes=2, sequence=frame, restarts=2).eval()
        >>> model(torch.tensor([[0, 1, 0, 1]])).shape  # the class of position 0 of "bab"
        torch.Size([1, 2])
    """

    def __init__(
        self,
        *,
        num_classes: int | None = None,
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
            raise ValueError("the data have no token sequences; expected labeled sequences of tokens, such as rasp")
        if num_classes is None:
            raise ValueError("num_classes is None; expected at least 1")
        if restarts < 1 or anneal <= 0 or not 0 < cold <= hot:
            given = f"restarts is {restarts}, anneal {anneal}, cold {cold}, hot {hot}"
            raise ValueError(f"{given}; expected 1 or more, above 0, and 0 < cold <= hot")
        spec = dict(sequence)
        self.classes = tuple(map(str, spec.pop("classes", None) or range(num_classes)))
        if len(self.classes) != num_classes:
            raise ValueError(f"num_classes is {num_classes}; the sequences have {len(self.classes)} classes")
        self.frame = Frame.from_config(spec)
        self.save_hyperparameters()
        self.pooled = pooled
        self.hparams["input_shape"] = [self.frame.length + (not pooled)]
        tokens = len(self.frame.tokens)
        shape = Sizes(
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
        self.build_network(
            shape,
            restarts=restarts,
            identity=identity,
            previous=previous,
            anneal=anneal,
            temperatures=(hot, cold),
        )

    @property
    def units(self) -> Units:
        """Values of variables; the values of one variable are a group."""
        groups = [name for name, _ in self.program.units]
        return Units("variable", self.program.unit_names, group=groups, describe=DESCRIBE)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset(
            {
                "affine_head",
                "class_sums",
                "editable",
                "extra_metrics",
                "program",
                "strength_words",
                "trace",
                "unit_choices",
            }
        )

    def affine_head(self, x: Tensor) -> AffineHead:
        """Return the linear read-out; a value that is switched off is absent."""
        weight = self._weight
        return AffineHead(weight, torch.zeros_like(weight), torch.zeros_like(weight[0]))

    def strength_words(self, strengths: Tensor, *, share: bool = False) -> list[list[str]]:
        """Return strengths ``(b, u)`` in words: the value of a number, otherwise how often the value is there."""
        numbers = [value is None for _, value in self.program.units]
        as_share = share or self.pooled

        def word(u: int, strength: float) -> str:
            if numbers[u]:
                return f"{'' if share else '= '}{strength:.3g}"
            if as_share:
                return f"{100 * strength:.0f} %"
            return "present" if strength else "absent"

        return [[word(u, strength) for u, strength in enumerate(row)] for row in strengths.tolist()]

    def unit_choices(self, strength: Tensor) -> list[UnitChoice]:
        """Return the values that the variables of the read-out can take; see ``zoo.programs.ir.choices``."""
        return program_choices(self.program, strength.tolist())

    def encode(self, x: Tensor) -> Tensor:
        """Return the strength ``(b, u)`` of each unit."""
        codes, asked = self.sequences(x)
        program = self.program
        values = run(program, codes)
        rows = strengths(program, values, codes != NOTHING, None if self.pooled else asked)
        return rows[asked[:, 0]] if self.pooled else rows

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Apply the linear read-out to the strengths, some of them set."""
        if mask is not None and value is not None:
            state = torch.where(mask, value, state)
        return state @ self._weight.T + self._bias

    @property
    def _weight(self) -> Tensor:
        return self.program.weight if not len(self.code) else self.readout.weight[0]

    @property
    def _bias(self) -> Tensor:
        return self.program.bias if not len(self.code) else self.readout.bias[0]

    def edit_operations(self) -> dict[str, Operation]:
        """Return ``hold``, which sets the read-out weights of a value to 0."""
        return {"hold": Operation(self._hold, "hold it off: it adds 0 to every answer")}

    def _hold(self, state: EditState, unit: int) -> EditState:
        if not len(self.code):
            raise ValueError("the model is no program yet; expected one that was trained with `then: discretise`")
        self.readout.weight[0, :, unit] = 0.0
        return state.hold(unit)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by weight times strength, exact."""
        strength = self.encode(x)
        logits = self.decide(strength)
        target = self.resolve_target(logits, target)
        contribution = strength * self._weight[target]
        shown = self.resolve_shown(contribution, shown)
        where = places(self.program, *self.sequences(x), strength, shown)
        return Explanation(self.units, logits, target, strength, contribution, self._bias[target], shown, where)

    def trace(self, x: Tensor) -> list[list[tuple[str, list[str]]]]:
        """Return every variable at every position of each sequence, with a mark at the queried position."""
        return along(self.program, *self.sequences(x))

    def class_sums(self, x: Tensor) -> list[list[tuple[str, list[float]]]]:
        """Return for each input the contributions of the active values to every class, and their sums, the logits."""
        return class_sums(self.program, *self.sequences(x))

    def source(self, x: Tensor | None, *, name: str, about: Iterable[str] = (), by: str = "zoo") -> str:
        """Return the program as Python source, with its coverage of inputs ``x`` (``zoo.programs.codegen.printer``)."""
        codes = None if x is None else self.sequences(x)[0]
        return print_program(self.program, name=name, about=tuple(about), codes=codes, by=by)

    @torch.no_grad()
    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return accuracy of whole sequences and by length, all restarts' accuracy, and the size of the program."""
        rows = [(b.x, self(b.x.to(self.device)).argmax(1).cpu() == b.targets) for b in loader]
        x, correct = (torch.cat(column) for column in zip(*rows, strict=True))
        metrics = shares(self.frame, *self.sequences(x), correct, pooled=self.pooled)
        metrics |= restart_metrics(unpack(self.restart_programs), self._questions(loader))
        metrics["variables"] = float(len(self.program.nodes))
        metrics["lines of the program"] = float(lines(self.program))
        return metrics
