"""One explanation as one picture, for a model card or a paper: the input, its largest units, and the sum."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from PIL import Image
from torch import Tensor

from zoo.explanation import Explanation
from zoo.reporting import heatmap
from zoo.reporting.unit_picture import Source


def figure(
    explanation: Explanation,
    i: int,
    picture: Tensor | None,
    *,
    class_names: Sequence[str],
    sources: Mapping[int, Source],
    count: int = 3,
) -> Image.Image:
    """Return a picture of input ``i`` of an explanation.

    Args:
        explanation: of several inputs.
        i: which of them.
        picture: ``(3, s, s)`` in 0..1; None where the input is no picture.
        class_names: c names.
        sources: where units came from, by unit id.
        count: how many units to draw.

    Returns:
        The input, then a column for each unit: where it is active in the input, and its training sample or template.
    """
    explanation = explanation.detach().to("cpu")
    target, logit = int(explanation.target[i]), float(explanation.logits[i, explanation.target[i]])
    shown = [u for u in explanation.shown[i].tolist() if u >= 0][:count]
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(2.1 * (len(shown) + 1), 4.4), dpi=110, layout="constrained")
    axes = sheet.subplots(2, len(shown) + 1, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    if picture is not None:
        axes[0, 0].imshow(heatmap.image(picture))
        axes[0, 0].set_title("input", fontsize=10)
    rest = logit - sum(float(explanation.contribution[i, u]) for u in shown)
    lines = [f"{float(explanation.contribution[i, u]):+.2f}" for u in shown] + [
        f"{rest:+.2f} all other units, base",
        f"= {logit:.2f}",
    ]
    axes[1, 0].text(0.5, 0.5, f"{class_names[target]}\n\n" + "\n".join(lines), ha="center", va="center", fontsize=11)
    for column, unit in enumerate(shown, start=1):
        amount = f"{float(explanation.contribution[i, unit]):+.2f}"
        where = explanation.where
        if where is not None and where.ndim == 4 and picture is not None:
            axes[0, column].set_title(f"{amount}: in the input", fontsize=10)
            evidence = where[i, column - 1]
            if explanation.units.signed:
                drawn = heatmap.signed(evidence, picture)
            else:
                frame = heatmap.box(evidence, (picture.shape[-2], picture.shape[-1]))
                drawn = heatmap.overlay(picture, evidence, frame=frame)
            axes[0, column].imshow(drawn)
        else:
            axes[0, column].set_title(explanation.units.names[unit], fontsize=10)
            if unit not in sources:
                line = f"{amount}\nstrength {float(explanation.strength[i, unit]):.3g}"
                axes[0, column].text(0.5, 0.5, line, ha="center", va="center", fontsize=11)
        if unit in sources:
            axes[1, column].set_title(
                explanation.units.names[unit] if sources[unit].is_template else "training sample", fontsize=10
            )
            axes[1, column].imshow(sources[unit].whole())
    buffer = io.BytesIO()
    FigureCanvasAgg(sheet).print_png(buffer)
    return Image.open(buffer).convert("RGB")
