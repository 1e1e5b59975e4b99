"""``zoo.plot``: one explained input as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from PIL import Image
from torch import Tensor

from zoo.explanation import Explanation
from zoo.reporting.figures.image_figure import figure
from zoo.reporting.unit_picture import Source


def plot(
    explanation: Explanation,
    i: int = 0,
    *,
    picture: Tensor | None = None,
    class_names: Sequence[str] = (),
    sources: Mapping[int, Source] | None = None,
    count: int = 5,
) -> Image.Image:
    """Draw input ``i`` of an explanation; in a notebook the returned picture shows itself.

    With a picture the units are drawn where they are active in it; without one, as bars of their contributions, which
    with the rest add up to the logit.

    Args:
        explanation: of several inputs.
        i: which of them; negative numbers count from the end.
        picture: ``(3, s, s)`` in 0..1, such as ``data.to_image(x)[i]``; None to draw bars.
        class_names: names of the classes, such as ``model.class_names``; empty to number them.
        sources: where units came from, by unit id; None to leave that out.
        count: how many units to draw.

    Raises:
        ValueError: if there is no such input, or ``count`` is below 1.

    Example:
        >>> import torch, zoo
        >>> model = zoo.create_model("bilinear_mlp", num_classes=2, input_shape=[4], width=8).eval()
        >>> zoo.plot(model.explain(torch.ones(3, 4)), 0).mode
        'RGB'
    """
    if not -len(explanation) <= i < len(explanation):
        raise ValueError(f"i is {i}; the explanation has {len(explanation)} inputs, 0 to {len(explanation) - 1}")
    if count < 1:
        raise ValueError(f"count is {count}; expected 1 or more")
    i %= len(explanation)
    names = list(class_names) or [f"class {c}" for c in range(explanation.logits.shape[1])]
    if len(names) != explanation.logits.shape[1]:
        raise ValueError(f"class_names has {len(names)} names; expected {explanation.logits.shape[1]}")
    if picture is not None:
        return figure(explanation, i, picture, class_names=names, sources=sources or {}, count=count)
    return _bars(explanation.detach().to("cpu"), i, names, count)


def _bars(explanation: Explanation, i: int, class_names: Sequence[str], count: int) -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    target = int(explanation.target[i])
    logit = float(explanation.logits[i, target])
    shown = [unit for unit in explanation.shown[i].tolist() if unit >= 0][:count]
    values = [float(explanation.contribution[i, unit]) for unit in shown]
    names = [str(explanation.units.names[unit]).replace("$", r"\$") for unit in shown]
    values.append(logit - sum(values))
    names.append("all other units, base")
    sheet = Figure(figsize=(6.0, 0.8 + 0.35 * len(values)), dpi=110, layout="constrained")
    ax = sheet.subplots()
    colors = ["#0f766e" if value >= 0 else "#b91c1c" for value in values[:-1]] + ["#94a3b8"]
    bars = ax.barh(range(len(values)), values, color=colors)
    ax.bar_label(bars, [f"{value:+.2f}" for value in values], padding=3, fontsize=9)
    ax.set_yticks(range(len(values)), names, fontsize=9)
    ax.invert_yaxis()
    ax.margins(x=0.15)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_title(f"{class_names[target]}: logit {logit:.2f}".replace("$", r"\$"), fontsize=10)
    buffer = io.BytesIO()
    FigureCanvasAgg(sheet).print_png(buffer)
    return Image.open(buffer).convert("RGB")
