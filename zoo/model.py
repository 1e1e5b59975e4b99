"""The base class of all models: the contract of explanations, tasks and predictions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.editing.edited_units import EditedUnits
from zoo.explanation import Contrast, Explanation, Units
from zoo.phase_training import PhaseTraining
from zoo.prediction import Prediction, join, predict_batch, stream
from zoo.runtime.denormals import denormals_as_zero
from zoo.task import Classification, Task

if TYPE_CHECKING:
    from zoo.inputs.base import Inputs
    from zoo.what_if.counterfactual import Counterfactual
    from zoo.what_if.neighbors import CaseIndex, Neighbors


class SelfExplaining(EditedUnits, PhaseTraining):
    """A model that explains its own predictions.

    Five promises, tested for every registered model: ``explain(x).logits`` is ``forward(x)``; exact contributions and
    ``base`` sum to ``logits[target]``; ``explain(x, target=y)`` explains y; eval mode is deterministic, independent of
    the rest of the batch and changes no state; shapes are checked at construction.

    A family defines ``encode`` (inputs to state) and ``decide`` (state to logits), from which predictions and
    interventions follow, ``units`` and ``explain``, and for training ``trainable_parts`` and ``loss`` (see
    ``PhaseTraining``). Its ``__init__`` calls ``save_hyperparameters()`` and has typed arguments, which are the keys of
    ``model`` in a config; ``num_classes`` and ``input_shape`` are filled in from the data. ``zoo cp bilinear_mlp
    my_model.py`` copies a family to start from. What it offers beyond this contract is a capability: see
    ``zoo.capabilities``.

    Attributes:
        name: under which the class is registered.
        tasks: kinds of tasks that the head can do.
        input_kind: ``numbers``, or ``tokens``: contexts ``(b, t)`` of integers, -1 after their end.
        table_encoding: how the columns of a table become inputs: ``dense``, or ``values`` as they are, see
            ``zoo.inputs.tables.encoding``.
        weight_properties: names of properties that are computed from the weights alone, which a graph that is exported
            holds as constants.
        inputs: preprocessing and class names, fitted on the training split; None for a model without them.
        config: the run config of the checkpoint; only of a loaded model.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("bilinear_mlp", num_classes=3, input_shape=[4], width=8).eval()
        >>> x = torch.ones(2, 4)
        >>> model(x).shape, model.intervene(x, {0: 0.0}).shape
        (torch.Size([2, 3]), torch.Size([2, 3]))
    """

    registered_as: ClassVar[str] = "model"
    name: ClassVar[str]
    input_kind: ClassVar[Literal["numbers", "tokens"]] = "numbers"
    table_encoding: ClassVar[str] = "dense"
    tasks: ClassVar[tuple[str, ...]] = ("classification",)
    weight_properties: ClassVar[tuple[str, ...]] = ("units",)
    config: dict[str, Any]
    inputs: Inputs | None = None
    _task: Task | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the logits; empty for a model without inputs."""
        return () if self.inputs is None else self.inputs.class_names

    @property
    def task(self) -> Task:
        """What the model answers: loss, prediction and calibration; a classification unless it was set.

        Raises:
            ValueError: (when set) if the head cannot do the task, or has another number of outputs.
        """
        if self._task is None:
            self._task = Classification(int(self.hparams["num_classes"]))
        return self._task

    @task.setter
    def task(self, task: Task) -> None:
        if task.kind not in self.tasks:
            raise ValueError(f"{self.name} cannot do {task.kind}; expected {' or '.join(self.tasks)}")
        outputs = self.hparams.get("num_classes", task.outputs)
        if task.outputs != outputs:
            raise ValueError(f"the task has {task.outputs} outputs; num_classes of this {self.name} is {outputs}")
        self._task = task

    # The contract.

    @property
    @abstractmethod
    def units(self) -> Units:
        """The vocabulary of units."""

    @abstractmethod
    def encode(self, x: Tensor) -> Any:
        """Compute the state that the logits depend on, up to where units can be set.

        Args:
            x: ``(b, ...)`` inputs.

        Returns:
            A tensor or a tuple of tensors, each with leading dimension b.
        """

    @abstractmethod
    def decide(self, state: Any, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Compute logits from the state of ``encode``, with the strengths of some units set.

        Args:
            state: of b inputs.
            mask: ``(..., b, u)`` bool, units whose strength is set rather than computed; None for none.
            value: ``(..., b, u)`` their strengths; read only where ``mask`` is true, and may be NaN elsewhere.

        Returns:
            ``(..., b, c)``
        """

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(b, c)`` of inputs ``x``."""
        return self.decide(self.encode(x))

    @abstractmethod
    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain the forward pass over ``x``.

        Args:
            x: ``(b, ...)`` inputs.
            target: ``(b,)`` classes or labels to explain; None for the predicted class or the most probable label.
            shown: how many units to show, or their ``(b, k)`` ids (-1 pads).
        """

    def contrast(
        self, x: Tensor, target: Tensor | None = None, against: Tensor | None = None, shown: int = 10
    ) -> Contrast:
        """Explain why one class rather than another: the exact difference of their contributions.

        Args:
            x: ``(b, ...)`` inputs.
            target: ``(b,)`` classes in question; None for the predicted ones.
            against: ``(b,)`` classes to compare with; None for those of the second largest logit, or of the largest
                where ``target`` is given and is not the prediction.
            shown: how many units to show, those with the largest differences.

        Raises:
            ValueError: if the classes do not exclude each other, or a class is compared with itself.

        Example:
            >>> import zoo
            >>> model = zoo.create_model("bilinear_mlp", num_classes=3, input_shape=[4], width=8).eval()
            >>> contrast = model.contrast(torch.ones(1, 4))
            >>> bool(torch.isclose(contrast.contribution.sum(1) + contrast.base, contrast.difference, atol=1e-5))
            True
        """
        if (kind := self.task.kind) != "classification":
            raise ValueError(
                f"the task of the model is {kind}; expected a classification, whose classes exclude each other"
            )
        first = self.explain(x, target=target, shown=shown)
        if first.logits.shape[1] < 2:
            raise ValueError("the model has one class; expected two or more to compare")
        if against is None:
            against = first.logits.scatter(1, first.target[:, None], -torch.inf).argmax(1)
        second = self.explain(x, target=self.resolve_target(first.logits, against), shown=shown)
        return Contrast.of(first, second, shown)

    def counterfactual(
        self,
        x: Tensor,
        *,
        allowed: Sequence[str] | None = None,
        target: int | None = None,
        max_changes: int = 4,
        above: float | None = None,
        below: float | None = None,
    ) -> list[Counterfactual]:
        """Return the smallest change of each input, or of its concepts or units, that gives another answer.

        Exact for models that hand over their head (capabilities ``feature_tables`` and ``affine_head``): no change of
        fewer columns or concepts gives the answer, and of the same number none is smaller, see
        ``zoo.what_if.choices`` for the size of a change. Of a regression it is the smallest change after which the
        prediction is at least ``above``, or at most ``below``.

        Args:
            x: ``(b, ...)`` inputs.
            allowed: names of the columns, concepts or units that may change; None for all.
            target: class that is wanted; None for any other than the answer.
            max_changes: largest number of changes.
            above: of a regression, the number that the prediction is to reach.
            below: the number that it is to fall to.

        Raises:
            ValueError: if the head is not one sum, the task has labels, what is wanted does not fit the task, or a name
                is not known.

        Example:
            >>> import zoo
            >>> concepts = {"columns": {"round": {"kind": "binary"}, "red": {"kind": "binary"}}}
            >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
            <torch...
            >>> model = zoo.create_model("cbm", num_classes=2, concepts=concepts, backbone="mlp", input_shape=[4])
            >>> found = model.eval().counterfactual(torch.zeros(1, 4))[0]
            >>> sorted({change.name for change in found.changes} - {"round", "red"}), len(found.changes) > 0
            ([], True)
        """
        from zoo.what_if.counterfactual import counterfactuals

        return counterfactuals(
            self, x, allowed=allowed, target=target, max_changes=max_changes, above=above, below=below
        )

    def neighbors(self, x: Tensor, cases: CaseIndex | Iterable[Batch], *, k: int = 5) -> Neighbors:
        """Return the nearest cases that the model answers alike for like reasons, see ``zoo.what_if.neighbors``.

        The distance is the sum of the absolute differences of the contributions to the answer.

        Args:
            x: ``(b, ...)`` inputs.
            cases: an index of cases, or the batches of a loader, such as ``data.loader("train")``, to build it from.
            k: number of cases.
        """
        from zoo.what_if.neighbors import CaseIndex

        index = cases if isinstance(cases, CaseIndex) else CaseIndex.build(self, cases)
        return index.nearest(self, x, k=k)

    def part_of(self, key: str) -> str:
        """Return the name of the trainable part that a tensor of the state dict belongs to."""
        return key.split(".", 1)[0]

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take the size of the vocabulary, where training can change it, from a ``state`` about to be loaded."""

    def convert_state(self, state: Mapping[str, Tensor], source: SelfExplaining) -> Mapping[str, Tensor]:
        """Convert tensors of a ``source`` model of another family to those of this family.

        Raises:
            ValueError: if the converted model would not compute the same.
        """
        return state

    def intervene(self, x: Tensor, values: Mapping[int, float] | Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the logits ``(b, c)`` with the strengths of some units set.

        Args:
            x: ``(b, ...)`` inputs.
            values: ``{unit id: strength}`` for all inputs, or strengths ``(b, u)``.
            mask: ``(b, u)`` bool, which entries of a tensor of ``values`` are set; one row for each input.

        Raises:
            ValueError: if an id is not in the vocabulary, or shape or type of ``values`` and ``mask`` do not fit.
        """
        shape = (len(x), len(self.units))
        if isinstance(values, Mapping):
            if mask is not None:
                raise ValueError("mask is given with a mapping; expected a mask only with a tensor of values")
            values, mask = self._as_tensors(values, x)
        if mask is None or mask.dtype != torch.bool or mask.shape != shape or values.shape != shape:
            actual = "none" if mask is None else f"{tuple(mask.shape)} {mask.dtype}"
            raise ValueError(f"values are {tuple(values.shape)}, mask is {actual}; expected {shape} both, mask bool")
        return self.decide(self.encode(x), mask, values)

    def _as_tensors(self, values: Mapping[int, float], x: Tensor) -> tuple[Tensor, Tensor]:
        """Strengths and mask ``(b, u)`` of ``{unit id: strength}`` for all inputs ``x``."""
        self.check_values(values)
        shape = (len(x), len(self.units))
        ids = torch.tensor(list(values), dtype=torch.int64, device=x.device)
        dtype = x.dtype
        if not dtype.is_floating_point and isinstance(self.dtype, torch.dtype):  # inputs are tokens
            dtype = self.dtype
        strengths = torch.zeros(shape, dtype=dtype, device=x.device)
        strengths[:, ids] = torch.tensor(list(values.values()), dtype=dtype, device=x.device)
        mask = torch.zeros(shape, dtype=torch.bool, device=x.device)
        mask[:, ids] = True
        return strengths, mask

    @denormals_as_zero()
    def predict(
        self,
        raw: Any,
        *,
        shown: int = 3,
        batch_size: int | None = None,
        strict: bool = False,
        skip: bool = False,
    ) -> Prediction:
        """Predict anything that the inputs of the model read; the training data are not needed.

        Args:
            raw: a path, a folder, a DataFrame, an image (PIL or array), or a list of such, see ``scan`` of the inputs.
            shown: number of units named for each input; 0 for none.
            batch_size: inputs per forward pass; None for 1024 short rows, or 256 of anything else.
            strict: whether an unusual input, such as one with an unknown level, is an error.
            skip: whether inputs that cannot be read are skipped and listed instead of being an error.

        Raises:
            ValueError: if the model has no inputs or an input cannot be read.

        Example:
            >>> import zoo
            >>> from zoo.inputs.table import TableInputs
            >>> model = zoo.create_model("bilinear_mlp", num_classes=2, input_shape=[1], width=8)
            >>> model.inputs = TableInputs.fit({"age": [30, 41, 52], "state": ["ill", "well", "ill"]}, target="state")
            >>> model.predict({"age": [35, 60]}).probabilities.shape
            torch.Size([2, 2])
        """
        training = self.training
        self.eval()
        try:
            options = {"shown": shown, "batch_size": batch_size, "strict": strict, "skip": skip}
            return join(list(stream(self, raw, **options)))
        finally:
            self.train(training)

    def predict_step(self, batch: Any, batch_idx: int = 0, dataloader_idx: int = 0, *, shown: int = 3) -> Prediction:
        """Return the predictions of a batch of ``Trainer.predict``: a ``Batch``, a ``Reading``, a tensor or a list.

        Example:
            >>> import pytorch_lightning as pl, zoo
            >>> from torch.utils.data import DataLoader
            >>> model = zoo.create_model("bilinear_mlp", num_classes=2, input_shape=[3], width=4)
            >>> trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)  # doctest: +SKIP
            >>> [len(part) for part in trainer.predict(model, DataLoader(torch.zeros(5, 3), 2))]  # doctest: +SKIP
            [2, 2, 1]
        """
        return predict_batch(self, batch, shown=shown, number=batch_idx)

    # Helpers for families.

    def owner_name(self, c: int) -> str:
        """Return what the units of a class or label are named after: its name, or ``class 3`` if that is a number.

        Args:
            c: number of the class.
        """
        name = self.class_names[c] if c < len(self.class_names) else str(c)
        kind = "label" if self.task.kind == "multilabel" else "class"
        return f"{kind} {name}" if name.isdecimal() else name

    def task_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the loss of the task, weighted where the samples have weights.

        Args:
            logits: ``(b, c)``, in units of y for a regression.
            batch: b samples.

        Raises:
            ValueError: if the batch has no targets, or they do not fit the task.
        """
        return self.task.loss(logits, batch.targets, batch.weight)

    def head_loss(self, y: Tensor, weight: Tensor) -> Callable[[Tensor], Tensor] | None:
        """Return the mean loss of a head's output ``(n, c)`` on the CPU; None for an unweighted cross-entropy.

        Args:
            y: ``(n, ...)`` targets.
            weight: ``(n,)`` of the samples.
        """
        task, y, weight = self.task, y.cpu(), weight.cpu()
        unweighted = bool((weight == weight[:1]).all())
        if isinstance(task, Classification) and task.weights is None and not task.smoothing and unweighted:
            return None
        return lambda output: task.loss(self.in_units_of_y(output), y, None if unweighted else weight.to(output))

    def in_units_of_y(self, output: Tensor) -> Tensor:
        """Return the output ``(..., c)`` of a head as logits: of a regression in units of y, otherwise as it is."""
        task = self.task
        return output if (task.scale, task.shift) == (1.0, 0.0) else output * task.scale + task.shift

    def explained_in_units_of_y(self, explanation: Explanation) -> Explanation:
        """Return the explanation of a head's output as that of the logits of ``in_units_of_y``."""
        task = self.task
        if (task.scale, task.shift) == (1.0, 0.0):
            return explanation
        return replace(
            explanation,
            logits=self.in_units_of_y(explanation.logits),
            contribution=explanation.contribution * task.scale,
            base=explanation.base * task.scale + task.shift,
        )

    def resolve_target(self, logits: Tensor, target: Tensor | None) -> Tensor:
        """Return the classes ``(b,)`` to explain: ``target``, checked, or the predicted ones.

        Args:
            logits: ``(b, c)``, in units of y for a regression.
            target: ``(b,)``; None for the predicted classes.
        """
        if target is None:
            return self.task.explained(logits)
        target = torch.as_tensor(target, device=logits.device)
        if target.shape != logits.shape[:1] or target.is_floating_point():
            raise ValueError(
                f"target is {tuple(target.shape)} {target.dtype}; expected ({len(logits)},) integer classes"
            )
        if bool(((target < 0) | (target >= logits.shape[1])).any()):
            raise ValueError(f"target has class {target.min()} to {target.max()}; expected 0 to {logits.shape[1] - 1}")
        return target.long()

    def resolve_shown(self, contribution: Tensor, shown: int | Tensor) -> Tensor:
        """Return the ids ``(b, k)`` of the units to show: as given, or the largest by absolute contribution."""
        if isinstance(shown, int):
            if shown < 0:
                raise ValueError(f"shown is {shown}; expected how many units to show, 0 or more")
            return contribution.abs().topk(min(shown, contribution.shape[1]), dim=1).indices
        shown = torch.as_tensor(shown, device=contribution.device)
        is_integer = not shown.is_floating_point() and shown.dtype != torch.bool
        if shown.ndim != 2 or len(shown) != len(contribution) or not is_integer:
            raise ValueError(
                f"shown is {tuple(shown.shape)} {shown.dtype}; expected ({len(contribution)}, k) integer unit ids"
            )
        if shown.numel() and int(shown.min()) < -1:
            raise ValueError(f"shown has unit {int(shown.min())}; expected ids from 0, or -1 for padding")
        if shown.numel() and int(shown.max()) >= contribution.shape[1]:
            raise ValueError(f"shown has unit {int(shown.max())}; the vocabulary has {contribution.shape[1]} units")
        return shown.long()

    def check_values(self, values: Mapping[int, float]) -> None:
        """Raise ValueError for interventions on units outside the vocabulary."""
        for unit in values:
            if not 0 <= unit < len(self.units):
                raise ValueError(f"unit {unit} is not in the vocabulary; expected 0 to {len(self.units) - 1}")
