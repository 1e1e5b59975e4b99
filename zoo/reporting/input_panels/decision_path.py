"""The path of an input through a decision tree, drawn from the root to a leaf."""

from __future__ import annotations

from typing import Any

from zoo.capabilities import DecisionPath
from zoo.registry import register
from zoo.reporting import heatmap
from zoo.reporting.context import PageContext
from zoo.reporting.numbers import percent
from zoo.reporting.panel import Panel

STEP = 84  # height of a node, in units of the drawing
SIDE = 72  # of the picture of a prototype
SHIFT = 26  # by which the path moves to the left or right at a node
MARGIN = 24  # around the path
CLASSES = 3  # named at the leaf


@register
class DecisionPathPanel(Panel):
    """The nodes that an input passes, each with what it asks and the answer, and the classes at the leaf."""

    order = 15
    region = "input"

    def applies(self, context: PageContext) -> bool:
        """Return whether the model is a tree."""
        return bool(context.decision_paths)

    def render(self, context: PageContext) -> str:
        """Return the drawing."""
        path = context.decision_paths[context.input_index]
        ranked = sorted(enumerate(path.probabilities), key=lambda entry: -entry[1])[:CLASSES]
        pictures = {step.unit: context.sources.get(step.unit) for step in path.steps}
        return self.fill(
            **drawing(path),
            pictures={u: heatmap.data_uri(source.whole()) for u, source in pictures.items() if source is not None},
            leaf=path.leaf,
            classes=[(context.class_names[c], percent(p)) for c, p in ranked],
            weight=percent(path.weight),
            side=SIDE,
        )


def drawing(path: DecisionPath) -> dict[str, Any]:
    """Return sizes and coordinates of a path: the nodes from top to bottom, moved left or right by each answer.

    Example:
        >>> from zoo.capabilities import PathStep
        >>> path = DecisionPath([PathStep(0, "node 0", 0.9, True)], "leaf 1", [0.0, 1.0], 0.9)
        >>> [(node["x"], node["y"], node["next"]) for node in drawing(path)["nodes"]]
        [(24, 42, (50, 126))]
    """
    places = [0]
    for step in path.steps:
        places.append(places[-1] + (1 if step.right else -1))
    left = min(places)
    xs = [MARGIN + SHIFT * (place - left) for place in places]
    ys = [STEP // 2 + STEP * k for k in range(len(places))]
    nodes = []
    for k, step in enumerate(path.steps):
        present = f"{'present' if step.right else 'absent'}: similarity {step.strength:.2f}"
        nodes.append(
            {
                "unit": step.unit,
                "name": step.name,
                "right": step.right,
                "answer": step.answer or present,
                "direction": "goes right" if step.right else "goes left",
                "x": xs[k],
                "y": ys[k],
                "next": (xs[k + 1], ys[k + 1]),
                "other": (2 * xs[k] - xs[k + 1], ys[k] + STEP // 3),  # the start of the edge that is not taken
            }
        )
    column = max(xs) + MARGIN + 8
    return {
        "nodes": nodes,
        "end": (xs[-1], ys[-1]),
        "column": column,
        "text": column + SIDE + 12,
        "width": column + SIDE + 12 + 260,
        "height": STEP * len(places),
    }
