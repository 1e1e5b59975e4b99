"""CoNLL-2003: names in news (Tjong Kim Sang and De Meulder, Introduction to the CoNLL-2003 Shared Task, 2003)."""

from __future__ import annotations

from typing import Any, ClassVar

from zoo import paths
from zoo.data.sequences.tagged import Tagged
from zoo.registry import register


@register
class Conll2003(Tagged):
    """Sentences of Reuters news with tagged persons, locations, organizations and other names.

    The files are ``text/conll2003/train.bio.gz``, ``valid.bio.gz`` and ``test.bio.gz`` below the data root. The license
    allows research only: models trained on the text, vocabulary included, must not be distributed.

    Args:
        folder: folder of the files; None for the one below the data root.
        common: other arguments of ``zoo.data.sequences.tagged.Tagged``.
    """

    license = "Reuters, for research; not to be passed on"
    user_supplied: ClassVar[bool] = False
    _hint = "put CoNLL-2003 there, or set ZOO_DATA to the folder above text/"

    def __init__(self, *, folder: str | None = None, **common: Any) -> None:
        super().__init__(folder=folder or str(paths.data() / "text" / "conll2003"), **common)
