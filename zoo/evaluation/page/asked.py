"""What the words of a command line ask of a model: a class by its name, the smallest change in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoo.paths import did_you_mean

if TYPE_CHECKING:
    import torch

    from zoo.model import SelfExplaining


def counterfactual_sentences(
    model: SelfExplaining, x: torch.Tensor, names: Sequence[str], wanted: bool | str, allowed: Sequence[str] | None
) -> list[list[str]]:
    """Return the sentences of each of b inputs; empty if they are not asked for.

    Args:
        model: of the inputs.
        x: ``(b, ...)``
        names: of the classes.
        wanted: the class that the answer becomes, True for any other, False for nothing; of a regression a bound that
            the number crosses, such as ``>20``.
        allowed: names of what may change; None for all.

    Raises:
        ValueError: if ``allowed`` is given alone, or a name is not known.
    """
    if wanted is False:
        if allowed is not None:
            raise ValueError("--allowed is given without --counterfactual; expected both")
        return []
    if model.task.kind == "regression":
        side, bound = _bound(wanted)
        above, below = (bound, None) if side == ">" else (None, bound)
        found = model.counterfactual(x, allowed=allowed, above=above, below=below)
        return [one.sentences(names) for one in found]
    target = None if wanted is True else class_named(wanted, names, "--counterfactual")
    found = model.counterfactual(x, allowed=allowed, target=target)
    return [one.sentences(names, asked=target) for one in found]


def _bound(wanted: bool | str) -> tuple[str, float]:
    """Return the side and the number of a bound such as ``>20``."""
    try:
        if isinstance(wanted, str) and wanted[:1] in ("<", ">"):
            return wanted[0], float(wanted[1:].removeprefix("="))
    except ValueError:
        pass
    raise ValueError(
        f"--counterfactual is {wanted!r} and the model predicts a number; expected what it is to cross, such as '>20'"
        " or '<20'"
    )


def class_named(name: str, names: Sequence[str], option: str = "--against") -> int:
    """Return the class of a name.

    Raises:
        ValueError: if there is none; the message names the nearest.
    """
    if name not in names:
        raise ValueError(
            f"{option} is {name!r}{did_you_mean(name, list(names))}; expected one of {', '.join(names[:20])}"
        )
    return list(names).index(name)
