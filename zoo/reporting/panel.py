"""The base class of panels, and how their HTML is made."""

from __future__ import annotations

import inspect
import warnings
from abc import ABC, abstractmethod
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from zoo.registry import PANELS
from zoo.reporting.context import PageContext

ASSETS = Path(__file__).parent / "assets"
Region = Literal["page", "head", "input"]


class Panel(ABC):
    """One section of a page.

    A panel is one file with one class decorated with ``@register``. Other packages add theirs with an entry point of
    the group ``zoo.panels``. Its template, style and script, ``<file>.html``, ``<file>.css`` and ``<file>.js``, may lie
    beside the file (of another package as its package data). ``zoo ls`` lists the panels; bars are drawn by
    ``zoo.reporting.bars``. A panel of another package that fails is left out with a warning.

    Attributes:
        order: panels of one region are drawn by rising order; those of zoo are at 5 to 90.
        region: ``page`` for a section of the page, ``head`` for a part of the head of each input, ``input`` for a part
            of each input below its head.

    Example:
        >>> from zoo.reporting.panel import Panel
        >>> class Greeting(Panel):  # decorated with @register, in a file of its own
        ...     order = 70
        ...
        ...     def applies(self, context):
        ...         return bool(context.lead)
        ...
        ...     def render(self, context):
        ...         return Markup("<section>{}</section>").format(context.lead)
    """

    registered_as: ClassVar[str] = "panel"
    name: ClassVar[str]
    order: ClassVar[int] = 100
    region: ClassVar[Region] = "page"

    def applies(self, context: PageContext) -> bool:
        """Return whether there is anything to show; True unless a panel knows better."""
        return True

    @abstractmethod
    def render(self, context: PageContext) -> str:
        """Return the panel as HTML. Texts from data must be escaped, as ``fill`` does."""

    def fill(self, **values: Any) -> str:
        """Return the template beside the panel's file, filled in; values are escaped unless they are ``Markup``."""
        file = Path(inspect.getfile(type(self)))
        return fill(file.with_suffix(".html"), **values)

    def style(self) -> str:
        """Return the style sheet beside the panel's file; empty if there is none."""
        return self._beside(".css")

    def script(self) -> str:
        """Return the script beside the panel's file, which pages with the panel allow by its hash; empty for none."""
        return self._beside(".js")

    def needs_script(self, context: PageContext) -> bool:
        """Return whether the panel uses its script on a page; by default wherever it applies."""
        return self.applies(context)

    def _beside(self, suffix: str) -> str:
        file = Path(inspect.getfile(type(self))).with_suffix(suffix)
        return file.read_text(encoding="utf-8") if file.is_file() else ""


def fill(file: Path, **values: Any) -> Markup:
    """Return a template, filled in and escaped; it may include and import what lies beside it or in ``assets``."""
    return Markup(_environment(file.parent).get_template(file.name).render(**values))


@cache
def _environment(folder: Path) -> Environment:
    loader = FileSystemLoader([folder, ASSETS])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def panels(region: Region | None = None) -> list[Panel]:
    """Return all panels of a region by their order; None for all regions."""
    every = [cls() for cls in PANELS.all().values() if region in (None, cls.region)]
    return sorted(every, key=lambda panel: (panel.order, panel.name))


def scripts(context: PageContext) -> str:
    """Return the scripts of all panels that apply to a page or to one of its inputs, one after another."""
    used = []
    for panel in panels():
        script = panel.script()
        places = [context] if panel.region == "page" else map(context.at, range(context.count))
        with suppress(Exception):  # of foreign code, which ``render`` warns of
            if script and any(panel.needs_script(place) for place in places):
                used.append(script)
    text = "\n".join(used)
    if "</script" in text.lower():
        raise ValueError("the script of a panel holds '</script'; expected it without, such as '<\\/script'")
    return text


def render(region: Region, context: PageContext) -> list[Markup]:
    """Return the panels of a region that apply, as HTML; a panel of another package that fails costs a warning."""
    sections = []
    for panel in panels(region):
        try:
            if panel.applies(context):
                sections.append(Markup(panel.render(context)))
        except Exception as error:  # whatever foreign code raises
            if type(panel).__module__.startswith("zoo."):
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            place = f"{type(panel).__module__}:{type(panel).__qualname__}"
            message = f"panel {panel.name!r} ({place}) cannot be drawn and is left out: {reason}"
            warnings.warn_explicit(message, UserWarning, PANELS.group, 0)  # no source line after it
    return sections
