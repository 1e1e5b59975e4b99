"""Kernels of additive parts: products of one-hot designs with the inverse of a part's penalty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import get_lapack_funcs

from zoo.layers.additive.fitting.assemble import Part, PartList
from zoo.layers.additive.fitting.convex_losses import Loss

# Largest number of rows times free classes for which a dense kernel is faster; a regression takes one Newton step.
KERNEL_ROWS = {"regression": 2000, "binary": 700, "multiclass": 700}


def prefers_kernel(parts: PartList, loss: Loss) -> bool:
    """True when the rows of a fit are fewer than the cells of its tables, and few enough for a dense kernel."""
    size = len(loss.y) * max(loss.classes - 1, 1)
    return size <= KERNEL_ROWS[loss.task] and size < int(parts.starts[-1])


def inverse_penalty(part: Part, strengths: np.ndarray) -> np.ndarray:
    """Return the inverse of the penalty of a part, shape (cells, cells).

    Args:
        part: Table of the fit.
        strengths: Strength of each of its components, shape (components,).
    """
    penalty = part.dense_fixed.copy()
    for strength, component in zip(strengths, part.components, strict=True):
        penalty += strength * component.form
    potrf, potri = get_lapack_funcs(("potrf", "potri"), dtype=np.float64)
    factor, failed = potrf(penalty, lower=1, overwrite_a=1)  # its upper triangle is set to zero
    if failed:
        raise ValueError("the penalty of a table is not positive definite; raise its smallest strength")
    inverse = potri(factor, lower=1, overwrite_c=1)[0]
    full = inverse + inverse.T
    full[np.diag_indices_from(full)] /= 2
    return full


def part_kernel(inverse: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the kernel of a part between rows, shape (n, n), of cells ``codes`` (n,)."""
    return inverse[codes].take(codes, axis=1)


def inverses_of(parts: PartList, strengths: np.ndarray) -> list[np.ndarray]:
    """Return ``inverse_penalty`` of every part at the strengths of all components, shape (components,)."""
    return [inverse_penalty(part, strengths[parts.owners == k]) for k, part in enumerate(parts.parts)]


def kernel_of(inverses: Sequence[np.ndarray], codes: Sequence[np.ndarray]) -> np.ndarray:
    """Return the sum of the kernels of all parts, shape (n, n)."""
    kernel = part_kernel(inverses[0], codes[0])
    for inverse, code in zip(inverses[1:], codes[1:], strict=True):
        kernel += part_kernel(inverse, code)
    return kernel


def tables_of(
    inverses: Sequence[np.ndarray], codes: Sequence[np.ndarray], alpha: np.ndarray, intercept: np.ndarray
) -> np.ndarray:
    """Return the cells of all parts and, last, the intercept, shape (D + 1, c).

    Args:
        inverses: Inverse penalty of every part.
        codes: Cell of every row in every part.
        alpha: Coefficients of the rows, shape (n, c).
        intercept: Shape (c,).
    """
    tables = []
    for inverse, code in zip(inverses, codes, strict=True):
        sums = [np.bincount(code, column, minlength=len(inverse)) for column in alpha.T]
        tables.append(inverse @ np.stack(sums, 1))
    return np.concatenate([*tables, intercept[None]])
