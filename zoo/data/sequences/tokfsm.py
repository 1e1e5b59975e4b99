"""TokFSM: random walks over states written as digits, with a known optimal loss.

Tamkin, Taufeeque, Goodman, Codebook features, 2023: 100 states, each with 10 equally likely successors; a state is
written as two decimal digits, a sequence is a begin token and digits.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.capabilities import LanguageModel, capability
from zoo.data.base import SplitName
from zoo.data.sampler import mix
from zoo.data.split import Split
from zoo.data.token_windows import TokenWindowData
from zoo.inputs.texts.tokenizers import Symbols
from zoo.registry import register
from zoo.sequence_spec import Family, Properties

BEGIN = 10
ROUNDS = 50  # attempts to replace repeated sequences


@register
class TokFsm(TokenWindowData):
    """Random walks of one state machine. Splits are disjoint; another ``seed`` gives other walks of the same machine.

    Args:
        states: number of states, at most 100: two digits each.
        branches: number of equally likely successors of each state.
        machine: random seed of the transitions.
        context: maximum number of tokens of a context, the begin token included; a sequence has one more.
        n_train: number of training sequences.
        n_val: number of validation sequences.
        n_test: number of test sequences.
        batch_size: sequences per batch on each rank.
        common: other arguments of ``zoo.data.base.Data``.

    Raises:
        ValueError: if an argument is out of range, or there are not enough different sequences.

    Example:
        >>> from zoo.data import create_data
        >>> data = create_data("tokfsm", n_train=4, n_val=2, n_test=2, context=9)
        >>> data.read_input("12 34").tolist()
        [10, 1, 2, 3, 4, -1, -1, -1, -1]
    """

    class_names = (*"0123456789", "<begin>")
    license = "drawn by zoo"
    begins_with = ("<begin>",)

    def __init__(
        self,
        *,
        states: int = 100,
        branches: int = 10,
        machine: int = 42,
        context: int = 127,
        n_train: int = 30000,
        n_val: int = 500,
        n_test: int = 2000,
        batch_size: int = 64,
        **common: Any,
    ) -> None:
        super().__init__(context=context, batch_size=batch_size, **common)
        if context < 3:
            raise ValueError(f"data.context is {context}; expected 3 or more: the begin token and a state")
        if not 2 <= states <= 100:
            raise ValueError(f"data.states is {states}; expected 2 to 100")
        if not 1 <= branches <= states:
            raise ValueError(f"data.branches is {branches}; expected 1 to the {states} states")
        self.counts = {"train": n_train, "val": n_val, "test": n_test}
        for name, n in self.counts.items():
            if n < 1:
                raise ValueError(f"data.n_{name} is {n}; expected 1 or more")
        self.states = states
        self.branches = branches
        self.machine = machine
        self.length = context + 1

    def input_tokenizer(self) -> Symbols:
        """Return one token for each digit; spaces are ignored."""
        return Symbols(self.class_names, ignored=" ")

    @cached_property
    def successors(self) -> np.ndarray:
        """Successors ``(states, branches)`` of each state."""
        generator = np.random.default_rng(mix(self.machine))
        return np.stack([generator.permutation(self.states)[: self.branches] for _ in range(self.states)])

    @cached_property
    def transitions(self) -> Tensor:
        """Transition probabilities ``(states, states)`` float64."""
        probability = torch.zeros(self.states, self.states, dtype=torch.float64)
        return probability.scatter(1, torch.from_numpy(self.successors), 1 / self.branches)

    @cached_property
    def _tokens(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        n = sum(self.counts.values())
        generator = np.random.default_rng(mix(self.machine, self.seed))
        rows = np.empty((0, self.length), np.uint8)
        for _ in range(ROUNDS):  # repeated sequences are drawn again
            rows = np.concatenate([rows, self._walks(n - len(rows), generator)])
            _, first = np.unique(rows.view(f"V{self.length}")[:, 0], return_index=True)
            rows = np.ascontiguousarray(rows[np.sort(first)])
            if len(rows) == n:
                return rows.reshape(-1)
        raise ValueError(
            f"of {n} sequences of {self.length} tokens only {len(rows)} differ, and splits must not overlap;"
            " lower data.n_train, data.n_val or data.n_test"
        )

    def _walks(self, n: int, generator: np.random.Generator) -> np.ndarray:
        """Return random sequences ``(n, length)`` uint8."""
        steps = self.length // 2
        walk = np.empty((n, steps), np.int64)
        walk[:, 0] = generator.integers(self.states, size=n)
        for i in range(1, steps):
            walk[:, i] = self.successors[walk[:, i - 1], generator.integers(self.branches, size=n)]
        rows = np.empty((n, 1 + 2 * steps), np.uint8)
        rows[:, 0] = BEGIN
        rows[:, 1::2] = walk // 10
        rows[:, 2::2] = walk % 10
        return np.ascontiguousarray(rows[:, : self.length])

    def _read(self) -> dict[str, Split]:
        ends = np.cumsum([0, *self.counts.values()])
        start = {name: np.arange(a, b) * self.length for name, a, b in zip(self.counts, ends, ends[1:], strict=False)}
        return {n: self._positions(n, s) if n == "test" else self._windows(n, s) for n, s in start.items()}

    def next_digit_probabilities(self, windows: Tensor) -> Tensor:
        """Return the true probabilities ``(n, t, 10)`` of the digit after each position of windows ``(n, t)``."""
        digits = windows[:, 1:]
        tens = digits[:, 0::2]
        position = torch.arange(windows.shape[1])
        state = tens[:, : digits.shape[1] // 2] * 10 + digits[:, 1::2]
        first = torch.full((len(windows), 1, self.states), 1 / self.states, dtype=torch.float64)
        later = torch.cat([first, self.transitions[state]], 1)  # (n, complete states + 1, states): of the next state
        by_digit = torch.nn.functional.pad(later, (0, 100 - self.states)).unflatten(2, (10, 10))
        now = by_digit[:, position // 2]
        known = torch.nn.functional.pad(tens, (0, 1))[:, position // 2]
        ones = now.gather(2, known[:, :, None, None].expand(-1, -1, 1, 10))[:, :, 0]
        probability = torch.where((position % 2 == 0)[:, None], now.sum(3), ones)
        return probability / probability.sum(2, keepdim=True)

    @cached_property
    def floor(self) -> tuple[float, float]:
        """Minimum mean loss in nats per token and maximum mean accuracy over the tokens of a sequence, both exact.

        The distribution of the state at each step is propagated; each state determines the distribution of the next
        two digits.
        """
        by_digit = torch.nn.functional.pad(self.transitions, (0, 100 - self.states)).unflatten(1, (10, 10))
        start = torch.full((1, self.states), 1 / self.states, dtype=torch.float64)
        start = torch.nn.functional.pad(start, (0, 100 - self.states))
        loss = 0.0
        best = 0.0
        state = torch.ones(1, dtype=torch.float64)
        table = start.unflatten(1, (10, 10))
        for token in range(self.context):
            tens = table.sum(2)
            if token % 2 == 0:
                loss += float(state @ torch.special.entr(tens).sum(1))
                best += float(state @ tens.amax(1))
            else:
                loss += float(state @ (torch.special.entr(table).sum((1, 2)) - torch.special.entr(tens).sum(1)))
                best += float(state @ table.amax(2).sum(1))
                state = state @ table.flatten(1)[:, : self.states]
                table = by_digit
        return loss / self.context, best / self.context

    def extra_metrics(self, model: Any) -> dict[str, float]:
        """Return the distance of a language model from the optimum, and how well it has learned the transitions.

        ``gap to floor``: mean loss over all positions of the test sequences minus that of the true probabilities.
        ``transition accuracy``: share of possible transitions in 100 sampled sequences; an invalid state has none.
        ``first transition``: mean share of true successors among the ``branches`` most likely states after one state.
        """
        if capability(model, LanguageModel) is None:
            return {}
        windows = self.windows("test")
        loss, correct = self.nats(model, windows)
        true = self.next_digit_probabilities(windows[:, :-1]).gather(2, windows[:, 1:, None])[..., 0].log().neg()
        begin = torch.full((100, 1), BEGIN, device=model.device)
        return {
            "nats per token": float(loss.mean()),
            "floor": self.floor[0],
            "gap to floor": float((loss - true).mean()),
            "token accuracy": float(correct.double().mean()),
            "best token accuracy": self.floor[1],
            "transition accuracy": self.transition_accuracy(model.generate(begin, self.context).cpu()),
            "first transition": self.first_transition(model),
        }

    def read_states(self, windows: Tensor) -> Tensor:
        """Return the state ``(n, t)`` whose second digit is at each position of windows ``(n, t)``; -1 elsewhere."""
        before = torch.nn.functional.pad(windows[:, :-1], (1, 0))
        position = torch.arange(windows.shape[1])
        complete = (position > 0) & (position % 2 == 0)
        return torch.where(complete, before * 10 + windows, -1)

    def position_labels(self, split: SplitName, count: int = 500) -> Properties:
        """Return the state that ends at each position, where one does."""
        x = self.windows(split)[:count, :-1]
        codes = self.read_states(x)[..., None].to(torch.int8)
        states = tuple(f"{i:02d}" for i in range(self.states))
        return Properties(x, torch.ones_like(x, dtype=torch.bool), (Family("states", codes, ("state",), states),))

    def transition_accuracy(self, digits: Tensor) -> float:
        """Return the share of possible transitions in sequences of digits ``(n, t)``, without the begin token."""
        pairs = digits[:, : digits.shape[1] // 2 * 2].unflatten(1, (-1, 2))
        state = pairs[..., 0] * 10 + pairs[..., 1]
        valid = (pairs < 10).all(2) & (state < self.states)
        both = valid[:, :-1] & valid[:, 1:]
        inside = state.clamp_max(self.states - 1)
        return float((both & (self.transitions[inside[:, :-1], inside[:, 1:]] > 0)).double().mean())

    @torch.no_grad()
    def first_transition(self, model: Any) -> float:
        """Return the share of true successors among the most likely next states after one state, mean over states."""
        state = torch.arange(self.states)
        one = torch.stack([torch.full_like(state, BEGIN), state // 10, state % 10], 1)
        tens = model.position_logits(one.to(model.device))[:, -1].cpu().double().log_softmax(1)[:, :10]
        two = torch.cat([one.repeat_interleave(10, 0), torch.arange(10).repeat(self.states)[:, None]], 1)
        ones = model.position_logits(two.to(model.device))[:, -1].cpu().double().log_softmax(1)[:, :10]
        joint = (tens[:, :, None] + ones.unflatten(0, (-1, 10))).flatten(1)[:, : self.states]
        likely = joint.topk(self.branches, dim=1).indices
        return float((self.transitions.gather(1, likely) > 0).double().mean())

    def token_texts(self, x: Tensor) -> list[list[str]]:
        """Return the digits of contexts ``(b, t)``, with a space after each state."""
        rows = super().token_texts(x)
        return [[text + " " * (i % 2 == 0) for i, text in enumerate(row)] for row in rows]

    def read_input(self, text: str) -> Tensor:
        """Return digits such as ``"12 34 5"`` as a context ``(context,)``; spaces are ignored.

        Raises:
            ValueError: if the text has other characters, is empty, or is longer than the context.
        """
        for place, letter in enumerate(text, 1):
            if letter not in "0123456789 ":
                raise ValueError(f"{letter!r} (place {place} of {text!r}) is not in the vocabulary; expected digits")
        digits = [int(letter) for letter in text if letter != " "]
        if not digits:
            raise ValueError("the prompt is empty; give at least one digit")
        return self.padded([BEGIN, *digits], text)
