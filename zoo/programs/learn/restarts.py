"""What every restart had become before the best was chosen: kept as text, so that any data can judge the lottery."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from zoo.programs.ir.program import Program
from zoo.programs.label_positions import Questions
from zoo.programs.reduce.shorten import lines


@dataclass(frozen=True)
class Rival:
    """A restart as discretised: nothing refitted, nothing pruned.

    Attributes:
        program: of its best epoch.
        val: its accuracy on validation data.
        soft: accuracy there of the network that it was read off, at the last temperature, with noise and without; -1
            where that was not measured.
    """

    program: Program
    val: float
    soft: tuple[float, float]


def pack(rivals: Sequence[Rival]) -> Tensor:
    """As bytes ``(n,)`` uint8."""
    rows = [
        {
            "program": r.program.to_json(),
            "weight": r.program.weight.tolist(),
            "bias": r.program.bias.tolist(),
            "val": r.val,
            "soft": r.soft,
        }
        for r in rivals
    ]
    return torch.frombuffer(bytearray(zlib.compress(json.dumps(rows).encode(), 9)), dtype=torch.uint8).clone()


def unpack(code: Tensor) -> list[Rival]:
    """What ``pack`` made into bytes."""
    rows = json.loads(zlib.decompress(bytes(code.tolist()))) if len(code) else []
    return [
        Rival(
            Program.from_json(row["program"], torch.tensor(row["weight"]), torch.tensor(row["bias"])),
            row["val"],
            tuple(row["soft"]),
        )
        for row in rows
    ]


def lottery(rivals: Sequence[Rival], given: Questions) -> dict[str, float]:
    """Accuracy of all restarts on one split, and of the one that validation chose.

    ``soft less hard`` is, of the chosen one, the accuracy of the noisy network on validation data less that of the
    program on these questions. Variables and lines of the raw program are those before anything is simplified.
    """
    if not rivals:
        return {}
    found = [given.accuracy(r.program) for r in rivals]
    chosen = max(range(len(rivals)), key=lambda i: rivals[i].val)
    told = {f"raw program of restart {i}": value for i, value in enumerate(found, 1)}
    told |= {"median of raw programs": median(found), "best of raw programs": max(found)}
    raw = rivals[chosen].program
    told |= {"raw program chosen": found[chosen]}
    told |= {"variables of the raw program": float(len(raw.nodes)), "lines of the raw program": float(lines(raw))}
    if rivals[chosen].soft[0] >= 0:
        told["soft less hard"] = rivals[chosen].soft[0] - found[chosen]
        told["median soft less hard"] = median(r.soft[0] - f for r, f in zip(rivals, found, strict=True))
        told["largest soft less hard"] = max(r.soft[0] - f for r, f in zip(rivals, found, strict=True))
    return told
