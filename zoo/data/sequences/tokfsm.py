"""TokFSM: a random walk over states written as digits, whose best possible loss is known exactly.

Tamkin, Taufeeque, Goodman, Codebook features, 2023: 100 states, each with 10 equally likely successors; a state is
written as two decimal digits, a sequence is a begin token and digits.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.data.sampler import mix
from zoo.data.split import Split
from zoo.data.token_windows import SequenceData
from zoo.registry import register
from zoo.sequence_spec import Family, Properties

BEGIN = 10
ROUNDS = 50


@register
class TokFsm(SequenceData):
    """Walks of one machine. Splits are disjoint; another ``seed`` gives other walks of the same machine.

    Args:
        states: of the machine, 100 at most: two digits each.
        branches: equally likely successors of each state.
        machine: seed of the transitions.
        context: tokens of a context at most, the begin token among them; a sequence has one more.
        n_train: sequences for training.
        n_val: for validation.
        n_test: for testing.
        batch_size: of one rank.
        common: the other arguments of ``Data``.

    Raises:
        ValueError: if an argument is out of range, or there are not as many different sequences.
    """

    class_names = (*"0123456789", "<begin>")
    license = "drawn by zoo"

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
        self.states, self.branches, self.machine, self.length = states, branches, machine, context + 1

    @cached_property
    def successors(self) -> np.ndarray:
        """``(states, branches)`` the successors of each state."""
        g = np.random.default_rng(mix(self.machine))
        return np.stack([g.permutation(self.states)[: self.branches] for _ in range(self.states)])

    @cached_property
    def transitions(self) -> Tensor:
        """``(states, states)`` float64 chances of one state after another."""
        chance = torch.zeros(self.states, self.states, dtype=torch.float64)
        return chance.scatter(1, torch.from_numpy(self.successors), 1 / self.branches)

    @cached_property
    def _tokens(self) -> np.ndarray:
        n, g = sum(self.counts.values()), np.random.default_rng(mix(self.machine, self.seed))
        rows = np.empty((0, self.length), np.uint8)
        for _ in range(ROUNDS):  # those that were drawn before are drawn anew
            rows = np.concatenate([rows, self._walks(n - len(rows), g)])
            _, first = np.unique(rows.view(f"V{self.length}")[:, 0], return_index=True)
            rows = np.ascontiguousarray(rows[np.sort(first)])
            if len(rows) == n:
                return rows.reshape(-1)
        raise ValueError(
            f"of {n} sequences of {self.length} tokens only {len(rows)} differ, and splits must not overlap:"
            " ask for fewer"
        )

    def _walks(self, n: int, g: np.random.Generator) -> np.ndarray:
        """``(n, length)`` sequences."""
        steps = self.length // 2
        walk = np.empty((n, steps), np.int64)
        walk[:, 0] = g.integers(self.states, size=n)
        for i in range(1, steps):
            walk[:, i] = self.successors[walk[:, i - 1], g.integers(self.branches, size=n)]
        rows = np.empty((n, 1 + 2 * steps), np.uint8)
        rows[:, 0], rows[:, 1::2], rows[:, 2::2] = BEGIN, walk // 10, walk % 10
        return np.ascontiguousarray(rows[:, : self.length])

    def _read(self) -> dict[str, Split]:
        ends = np.cumsum([0, *self.counts.values()])
        start = {name: np.arange(a, b) * self.length for name, a, b in zip(self.counts, ends, ends[1:], strict=False)}
        return {n: self._positions(n, s) if n == "test" else self._windows(n, s) for n, s in start.items()}

    # What is known of the machine.

    def chances(self, windows: Tensor) -> Tensor:
        """True chances ``(n, t, 10)`` of the digit after each position of windows ``(n, t)`` that begin properly."""
        digits = windows[:, 1:]
        tens, at = digits[:, 0::2], torch.arange(windows.shape[1])
        state = tens[:, : digits.shape[1] // 2] * 10 + digits[:, 1::2]
        first = torch.full((len(windows), 1, self.states), 1 / self.states, dtype=torch.float64)
        later = torch.cat([first, self.transitions[state]], 1)  # (n, states written + 1, states): of the state to come
        whole = torch.nn.functional.pad(later, (0, 100 - self.states)).unflatten(2, (10, 10))
        now = whole[:, at // 2]
        known = torch.nn.functional.pad(tens, (0, 1))[:, at // 2]
        ones = now.gather(2, known[:, :, None, None].expand(-1, -1, 1, 10))[:, :, 0]
        found = torch.where((at % 2 == 0)[:, None], now.sum(3), ones)
        return found / found.sum(2, keepdim=True)

    @cached_property
    def floor(self) -> tuple[float, float]:
        """Least mean loss, in nats per token, and best mean accuracy over the tokens of a sequence, both exact.

        The chance of each state at each step is carried forward; each state tells what can be known of the two digits
        that follow.
        """
        whole = torch.nn.functional.pad(self.transitions, (0, 100 - self.states)).unflatten(1, (10, 10))
        start = torch.full((1, self.states), 1 / self.states, dtype=torch.float64)
        start = torch.nn.functional.pad(start, (0, 100 - self.states))
        loss, best, at = 0.0, 0.0, torch.ones(1, dtype=torch.float64)
        table = start.unflatten(1, (10, 10))
        for token in range(self.context):
            tens = table.sum(2)
            if token % 2 == 0:
                loss += float(at @ torch.special.entr(tens).sum(1))
                best += float(at @ tens.amax(1))
            else:
                loss += float(at @ (torch.special.entr(table).sum((1, 2)) - torch.special.entr(tens).sum(1)))
                best += float(at @ table.amax(2).sum(1))
                at = at @ table.flatten(1)[:, : self.states]
                table = whole
        return loss / self.context, best / self.context

    def extra_metrics(self, model: Any) -> dict[str, float]:
        """Distance from the floor on the test sequences, and how well the machine was learnt.

        ``gap to floor``: loss at every position of the test sequences less the loss of the true chances there.
        ``transition accuracy``: share of possible transitions in 100 sampled sequences (a state that is no state makes
        none). ``first transition``: mean share of the true successors among the ``branches`` likeliest after one state.
        """
        if not hasattr(model, "position_logits"):
            return {}
        windows = self.windows("test")
        loss, right = self.nats(model, windows)
        true = self.chances(windows[:, :-1]).gather(2, windows[:, 1:, None])[..., 0].log().neg()
        told = {"nats per token": float(loss.mean()), "floor": self.floor[0]}
        told |= {"gap to floor": float((loss - true).mean())}
        told |= {"token accuracy": float(right.double().mean()), "best token accuracy": self.floor[1]}
        begin = torch.full((100, 1), BEGIN, device=model.device)
        told["transition accuracy"] = self.possible(model.generate(begin, self.context).cpu())
        told["first transition"] = self.first_transition(model)
        return told

    def read_states(self, windows: Tensor) -> Tensor:
        """The state ``(n, t)`` whose second digit is at each position of windows ``(n, t)``; -1 at other positions."""
        before = torch.nn.functional.pad(windows[:, :-1], (1, 0))
        whole = (torch.arange(windows.shape[1]) > 0) & (torch.arange(windows.shape[1]) % 2 == 0)
        return torch.where(whole, before * 10 + windows, -1)

    def position_labels(self, split: Any, count: int = 500) -> Properties:
        """The state that was just read, where one was."""
        x = self.windows(split)[:count, :-1]
        codes, states = self.read_states(x)[..., None].to(torch.int8), tuple(f"{i:02d}" for i in range(self.states))
        return Properties(x, torch.ones_like(x, dtype=torch.bool), (Family("states", codes, ("state",), states),))

    def possible(self, digits: Tensor) -> float:
        """Share of possible transitions in sequences of digits ``(n, t)``, without the begin token."""
        pairs = digits[:, : digits.shape[1] // 2 * 2].unflatten(1, (-1, 2))
        state = pairs[..., 0] * 10 + pairs[..., 1]
        real = (pairs < 10).all(2) & (state < self.states)
        ok = real[:, :-1] & real[:, 1:]
        inside = state.clamp_max(self.states - 1)
        return float((ok & (self.transitions[inside[:, :-1], inside[:, 1:]] > 0)).double().mean())

    @torch.no_grad()
    def first_transition(self, model: Any) -> float:
        """Share of the true successors among the likeliest next states after one state, mean over states."""
        state = torch.arange(self.states)
        one = torch.stack([torch.full_like(state, BEGIN), state // 10, state % 10], 1)
        tens = model.position_logits(one.to(model.device))[:, -1].cpu().double().log_softmax(1)[:, :10]
        two = torch.cat([one.repeat_interleave(10, 0), torch.arange(10).repeat(self.states)[:, None]], 1)
        ones = model.position_logits(two.to(model.device))[:, -1].cpu().double().log_softmax(1)[:, :10]
        joint = (tens[:, :, None] + ones.unflatten(0, (-1, 10))).flatten(1)[:, : self.states]
        likely = joint.topk(self.branches, dim=1).indices
        return float((self.transitions.gather(1, likely) > 0).double().mean())

    def token_texts(self, x: Tensor) -> list[list[str]]:
        """Digits, with a space after each state."""
        rows = super().token_texts(x)
        return [[text + " " * (i % 2 == 0) for i, text in enumerate(row)] for row in rows]

    def read_input(self, text: str) -> Tensor:
        """A context of the user's own: digits, spaces between them as one likes, such as ``"12 34 5"``.

        Raises:
            ValueError: if something else is in it, it is empty, or it is longer than the context.
        """
        for place, letter in enumerate(text, 1):
            if letter not in "0123456789 ":
                raise ValueError(f"{letter!r} (place {place} of {text!r}) is not in the vocabulary; expected digits")
        digits = [int(letter) for letter in text if letter != " "]
        if not digits:
            raise ValueError("the prompt is empty; give at least one digit")
        return self.padded([BEGIN, *digits], text)
