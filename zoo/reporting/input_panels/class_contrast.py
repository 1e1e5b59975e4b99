"""Why the explained class rather than another: by how much more each unit adds to it."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.bars import draw_bars
from zoo.reporting.context import PageContext
from zoo.reporting.numbers import decimals, show, whole
from zoo.reporting.panel import Panel


@register
class ClassContrast(Panel):
    """The units with the largest differences between two classes; the lines sum to the difference of the logits."""

    order = 25
    region = "input"

    def applies(self, context: PageContext) -> bool:
        """Return whether a contrast was computed."""
        return context.contrast is not None

    def render(self, context: PageContext) -> str:
        """Return bars and the sum; units that add the same to both classes are not listed."""
        contrast, i = context.contrast, context.input_index
        assert contrast is not None
        contribution = contrast.contribution[i].double()
        total, base = float(contrast.difference[i]), float(contrast.base[i])
        ids = contrast.shown[i].tolist()
        digits = decimals([total, base, *(float(contribution[u]) for u in ids)])
        listed = [u for u in ids if whole(float(contribution[u]), digits)]
        amounts = [whole(float(contribution[u]), digits) for u in listed]
        bars = draw_bars([float(contribution[u]) for u in listed])
        rest = float(contribution.sum()) - sum(float(contribution[u]) for u in listed)
        others = len(contrast.units) - len(listed)
        lines = [
            (f"{others} other {context.noun.one if others == 1 else context.noun.many}", whole(rest, digits)),
            ("base, not due to any unit", whole(base, digits)),
        ]
        lines = [(label, amount) for label, amount in lines if amount]
        gap = whole(total, digits) - sum(amounts) - sum(amount for _, amount in lines)
        exact = contrast.is_exact and abs(float(contribution.sum()) + base - total) < 10**-digits
        if gap:
            lines.append(("rounding of the numbers above" if exact else "not captured by this sum", gap))
        return self.fill(
            target=context.class_names[int(contrast.target[i])],
            against=context.class_names[int(contrast.against[i])],
            rows=[
                (contrast.units.names[u], bar, show(amount, digits, sign=True))
                for u, bar, amount in zip(listed, bars, amounts, strict=True)
            ],
            lines=[(label, show(amount, digits, sign=True)) for label, amount in lines],
            total=show(whole(total, digits), digits, sign=True),
            quantity=context.quantity,
            exact=exact,
            folded=context.count > 1,
        )
