"""Programs of all restarts before the best was chosen, stored as bytes, and their accuracy on any labels."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from zoo.programs.ir.program import Program
from zoo.programs.label_positions import LabeledPositions
from zoo.programs.reduce.shorten import lines

MAX_BYTES = 1 << 30  # of unpacked text; more is refused


@dataclass(frozen=True)
class Restart:
    """A restart compiled to a program, before anything is refitted or pruned.

    Attributes:
        program: of its best epoch.
        val: its accuracy on validation data, between 0 and 1.
        soft: accuracy there of the network that it was compiled from, at the last temperature, with and without noise;
            -1 if it was not measured.
    """

    program: Program
    val: float
    soft: tuple[float, float]


def pack(restarts: Sequence[Restart]) -> Tensor:
    """Return restarts as bytes ``(n,)`` uint8."""
    rows = [
        {
            "program": restart.program.to_json(),
            "weight": restart.program.weight.tolist(),
            "bias": restart.program.bias.tolist(),
            "val": restart.val,
            "soft": restart.soft,
        }
        for restart in restarts
    ]
    return torch.frombuffer(bytearray(zlib.compress(json.dumps(rows).encode(), 9)), dtype=torch.uint8).clone()


def unpack(code: Tensor) -> list[Restart]:
    """Return the restarts that ``pack`` wrote; none for no bytes.

    Raises:
        ValueError: if the bytes are not restarts.
    """
    if not len(code):
        return []
    try:
        reader = zlib.decompressobj()
        text = reader.decompress(bytes(code.tolist()), MAX_BYTES)
        if not reader.eof:
            raise ValueError(f"expected at most {MAX_BYTES} bytes of text")
        return [
            Restart(
                Program.from_json(row["program"], torch.tensor(row["weight"]), torch.tensor(row["bias"])),
                float(row["val"]),
                (float(row["soft"][0]), float(row["soft"][1])),
            )
            for row in json.loads(text)
        ]
    except (zlib.error, KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"not the restarts of a transformer program: {error}") from error


def restart_metrics(restarts: Sequence[Restart], labeled: LabeledPositions) -> dict[str, float]:
    """Return the accuracy of all restarts on one split, and of the one that validation data chose.

    ``soft less hard`` is, for the chosen restart, the accuracy of the noisy network on validation data minus that of
    the program on these labels. Variables and lines are those of the program before simplification.
    """
    if not restarts:
        return {}
    accuracy = [labeled.accuracy(restart.program) for restart in restarts]
    chosen = max(range(len(restarts)), key=lambda i: restarts[i].val)
    raw = restarts[chosen].program
    metrics = {f"raw program of restart {i}": value for i, value in enumerate(accuracy, 1)}
    metrics |= {"median of raw programs": median(accuracy), "best of raw programs": max(accuracy)}
    metrics["raw program chosen"] = accuracy[chosen]
    metrics |= {"variables of the raw program": float(len(raw.nodes)), "lines of the raw program": float(lines(raw))}
    if restarts[chosen].soft[0] >= 0:
        differences = [restart.soft[0] - value for restart, value in zip(restarts, accuracy, strict=True)]
        metrics["soft less hard"] = differences[chosen]
        metrics["median soft less hard"] = median(differences)
        metrics["largest soft less hard"] = max(differences)
    return metrics
