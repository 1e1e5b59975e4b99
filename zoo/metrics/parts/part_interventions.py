"""Part interventions: are the parts named as important those that matter when parts are removed from the scene?

Source: Hesse, Schaub-Meyer, Roth, FunnyBirds: A Synthetic Vision Dataset for a Part-Based Analysis of Explainable AI
Methods, ICCV 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.metrics.base import Record, Score, count, expect, fraction
from zoo.metrics.parts._counterfactual_scenes import Scenes, probe
from zoo.metrics.parts._part_importance import THRESHOLDS, contrasts, effects
from zoo.metrics.parts._sample_rows import spread
from zoo.metrics.perturbations.noise import chosen
from zoo.registry import register

PER_SAMPLE = ("preservation", "deletion", "distractibility")


@register
class PartInterventions(Score):
    """How well the parts of high importance are those on which the prediction depends.

    From Hesse et al., FunnyBirds: A Synthetic Vision Dataset for a Part-Based Analysis of Explainable AI Methods, ICCV
    2023, on any data whose scenes can be rendered again without some parts; the class explained is the predicted one.
    A part is important at threshold t if its importance is above t times the sum of all positive contributions. Then

    ``preservation``: share of inputs whose answer stays when all parts that are not important are removed;
    ``deletion``: share whose answer changes when the important parts are removed;
    ``distractibility``: 1 - the mean share of irrelevant parts that are important; irrelevant is a part whose removal
    takes less than 5 % of the logit's absolute value, or adds to it (inputs without such parts are left out);
    ``target_sensitivity``: with two other classes a and b that share different parts A and B with the input's class,
    the share of comparisons (two an input) in which A matters more for a than for b, and B more for b than for a; only
    on inputs where the model's own logits do so when A and B are removed;
    ``order``: Spearman's correlation of importances with the drop of the logit when each part is removed, mean over the
    inputs where it is defined (in -1..1; the paper's single deletion is (1 + it) / 2).

    The headline ``completeness`` is the mean of preservation and deletion at the threshold that makes completeness +
    distractibility largest, as published, chosen on the scored samples. Left out of the paper's protocol: its third
    check of completeness (controlled synthetic data), and background objects as parts. ``random`` and ``random
    distractibility`` are the same, at the same threshold, of importances shuffled among the parts of each input;
    ``threshold`` is that threshold, ``compared`` the number of inputs behind the target sensitivity. ``curve/...``: by
    threshold.

    Args:
        part_count: p.
        scenes: the scored split, to be rendered again; without it a suite scores nothing.
        share: of the inputs that are scored, chosen by a hash of their id; an input is rendered about 20 times.
        thresholds: t of them.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        One scene of two parts: the answer (0) stays with the important part 0 alone and changes without it.

        >>> score = PartInterventions(2, thresholds=(0.1,))
        >>> important, answer = torch.tensor([[[True, False]]]), torch.tensor([0])
        >>> kept, cut = torch.tensor([[0]]), torch.tensor([[1]])
        >>> importance, logit, without = torch.tensor([[2.0, 0.0]]), torch.tensor([2.0]), torch.tensor([[0.0, 2.0]])
        >>> score.update(important, answer, kept, cut, importance, logit, without)
        >>> {name: float(score.compute()[name]) for name in ("completeness", "distractibility", "order")}
        {'completeness': 1.0, 'distractibility': 1.0, 'order': 1.0}
    """

    title = "Part interventions"
    meaning = "share of predictions kept by the important parts alone and changed without them"
    axes = {"*": ("threshold of importance, by number", "share of inputs")}
    chance_readouts = ("random",)
    requires = frozenset({"units", "maps", "scenes"})
    inputs = {
        "important": "binary",
        "answer": "class",
        "kept": "class",
        "cut": "class",
        "importance": "finite",
        "logit": "finite",
        "without": "finite",
        "contrast_logits": "finite or nan",
        "contrast_importance": "finite or nan",
        "random": "binary",
        "random_kept": "class",
        "random_cut": "class",
    }
    protocol = "funnybirds2023-parts"
    intervals = {
        "completeness": ("", 0, 1),
        "distractibility": ("", 0, 1),
        "target_sensitivity": ("", 0, 1),
        "order": ("", -1, 1),
    }
    sums: Tensor
    random: Tensor
    order: Tensor
    with_irrelevant: Tensor
    ordered: Tensor
    compared: Tensor
    sensitive: Tensor
    shuffled: Tensor

    def __init__(
        self,
        part_count: int,
        *,
        scenes: Scenes | None = None,
        share: float = 1.0,
        thresholds: Sequence[float] = THRESHOLDS,
    ) -> None:
        super().__init__()
        self.part_count, self.scenes = count("part_count", part_count), scenes
        self.share = fraction("share", share, zero=False)
        self._rendered: Tensor | None = None  # samples of the batch that are rendered again
        self.thresholds = tuple(fraction("thresholds", t) for t in thresholds)
        if not self.thresholds:
            raise ValueError("thresholds is empty; expected shares of the sum of contributions")
        if self.thresholds != THRESHOLDS:
            self.protocol += "/thresholds" + "-".join(f"{t:g}" for t in self.thresholds)
        for name in ("sums", "random"):
            self._sum(name, 3, len(self.thresholds), dtype=torch.float64)
        self._sum("order", dtype=torch.float64)
        for name in ("with_irrelevant", "ordered", "compared", "sensitive", "shuffled"):
            self._sum(name)

    def update(
        self,
        important: Tensor,
        answer: Tensor,
        kept: Tensor,
        cut: Tensor,
        importance: Tensor,
        logit: Tensor,
        without: Tensor,
        *,
        contrast_logits: Tensor | None = None,
        contrast_importance: Tensor | None = None,
        random: Tensor | None = None,
        random_kept: Tensor | None = None,
        random_cut: Tensor | None = None,
    ) -> None:
        """Add a batch.

        Args:
            important: ``(b, t, p)`` bool, by threshold.
            answer: ``(b,)`` predicted class.
            kept: ``(b, t)`` class predicted with the parts removed that are not important.
            cut: ``(b, t)`` class predicted with the important parts removed.
            importance: ``(b, p)`` of the parts, for the class explained.
            logit: ``(b,)`` of the class explained.
            without: ``(b, p)`` the same logit with each part removed.
            contrast_logits: ``(b, 3, 2)`` logits of the classes a and b: of the whole scene, with A removed, with B
                removed; NaN for inputs without such classes. None without target sensitivity.
            contrast_importance: ``(b, 2, 2)`` importance of A and of B for the classes a and b; ``[:, 0, 1]`` is that
                of A for b.
            random: ``(b, t, p)`` as ``important``, of shuffled importances. None without chance levels.
            random_kept: ``(b, t)`` as ``kept``.
            random_cut: ``(b, t)`` as ``cut``.

        Raises:
            ValueError: if a shape does not fit.
        """
        expect("answer", answer, None)
        self._check(answer=answer)
        b, t, p = len(answer), len(self.thresholds), self.part_count
        for name, values, shape in (
            ("important", important, (b, t, p)),
            ("kept", kept, (b, t)),
            ("cut", cut, (b, t)),
            ("importance", importance, (b, p)),
            ("logit", logit, (b,)),
            ("without", without, (b, p)),
            ("contrast_logits", contrast_logits, (b, 3, 2)),
            ("contrast_importance", contrast_importance, (b, 2, 2)),
            ("random", random, (b, t, p)),
            ("random_kept", random_kept, (b, t)),
            ("random_cut", random_cut, (b, t)),
        ):
            if values is not None:
                expect(name, values, *shape)
                self._check(**{name: values})
        if not b:
            return
        random_answers = (
            None if random is None or random_kept is None or random_cut is None else (random, random_kept, random_cut)
        )
        readouts = effects((important, kept, cut), random_answers, answer, importance, logit, without)
        if contrast_logits is not None and contrast_importance is not None:
            readouts |= contrasts(contrast_logits, contrast_importance)
        for name, rows in readouts.items():
            self._add(name, spread(rows.to(self.device), self._rendered))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Render the scenes of a record without parts, and predict their classes."""
        batch = record.batch
        rendered = chosen(batch.index, self.share)
        rows = rendered.nonzero()[:, 0]
        if self.scenes is not None and len(rows):
            subset = Batch(batch.x[rows], batch.targets[rows], batch.index[rows])
            self._rendered = rendered
            try:
                self.update(**probe(record.model, subset, self.scenes, thresholds=self.thresholds))
            finally:
                self._rendered = None

    def compute(self) -> dict[str, Tensor]:
        """The checks; see the class."""
        n = self.samples.double()
        number = torch.stack([n, n, self.with_irrelevant.double()])[:, None]
        (preservation, deletion, distractibility), chance = self.sums / number, self.random / number
        completeness = (preservation + deletion) / 2
        best = (completeness + distractibility.nan_to_num()).argmax()
        thresholds = torch.tensor(self.thresholds, dtype=torch.float64, device=self.device)
        curves = dict(zip(PER_SAMPLE, (preservation, deletion, distractibility), strict=True))
        return {
            "completeness": completeness[best],
            **{name: curve[best] for name, curve in curves.items()},
            "random": torch.where(self.shuffled > 0, chance[:2, best].mean(), torch.nan),
            "random distractibility": torch.where(self.shuffled > 0, chance[2, best], torch.nan),
            "target_sensitivity": self.sensitive / (2 * self.compared.double()),
            "order": self.order / self.ordered,
            "threshold": thresholds[best],
            "compared": self.compared,
            "support": self.samples,
            **{f"curve/{name}": curve for name, curve in curves.items()},
        }
