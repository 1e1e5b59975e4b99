"""One explanation as one picture, for a card or a paper: the input, its strongest units, and the sum."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from zoo.explanation import Explanation
from zoo.reporting import heatmap
from zoo.reporting.glossary import GLOSSARY
from zoo.reporting.unit_source import Source


def figure(
    explanation: Explanation,
    i: int,
    picture: Tensor | None,
    *,
    class_names: Sequence[str],
    sources: Mapping[int, Source],
    count: int = 3,
) -> Image.Image:
    """Draw input ``i`` of an explanation.

    Args:
        explanation: of several inputs.
        i: which of them.
        picture: ``(3, s, s)`` in 0..1; None where the input is no picture.
        class_names: c names.
        sources: where units came from, by unit id.
        count: how many units to draw.

    Returns:
        The input above, then a column for each unit: where it is found, and the piece of the training sample it is.
    """
    told = explanation.detach().to("cpu")
    target, logit = int(told.target[i]), float(told.logits[i, told.target[i]])
    shown = [u for u in told.shown[i].tolist() if u >= 0][:count]
    sheet = Figure(figsize=(2.1 * (len(shown) + 1), 4.4), dpi=110, layout="constrained")
    axes = sheet.subplots(2, len(shown) + 1, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    if picture is not None:
        axes[0, 0].imshow(heatmap.image(picture))
        axes[0, 0].set_title("input", fontsize=10)
    rest = logit - sum(float(told.contribution[i, u]) for u in shown)
    lines = [f"{float(told.contribution[i, u]):+.2f}" for u in shown] + [f"{rest:+.2f} all else", f"= {logit:.2f}"]
    axes[1, 0].text(0.5, 0.5, f"{class_names[target]}\n\n" + "\n".join(lines), ha="center", va="center", fontsize=11)
    for column, unit in enumerate(shown, start=1):
        placed = told.where is not None and told.where.ndim == 4 and picture is not None
        amount = f"{float(told.contribution[i, unit]):+.2f}"
        axes[0, column].set_title(f"{amount}: here" if placed else told.units.names[unit], fontsize=10)
        if not placed and unit not in sources:
            line = f"{amount}\nstrength {float(told.strength[i, unit]):.3g}"
            axes[0, column].text(0.5, 0.5, line, ha="center", va="center", fontsize=11)
        if placed:
            place = told.where[i, column - 1]
            if GLOSSARY[told.units.kind].signed:
                axes[0, column].imshow(heatmap.signed(place, picture))
            else:
                axes[0, column].imshow(
                    heatmap.overlay(picture, place, frame=heatmap.box(place, tuple(picture.shape[-2:])))
                )
        if unit in sources:
            axes[1, column].set_title(
                told.units.names[unit] if sources[unit].portrait else "looks like this", fontsize=10
            )
            axes[1, column].imshow(sources[unit].whole())
    canvas, buffer = FigureCanvasAgg(sheet), io.BytesIO()
    canvas.print_png(buffer)
    return Image.open(buffer).convert("RGB")
