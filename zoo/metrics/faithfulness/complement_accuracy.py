"""Complement accuracy: how well the class can be told from the words that a selecting model has left out.

Source: Jacovi, Goldberg, Aligning Faithful Interpretations with their Social Attribution, TACL 2021 (the problem);
the score is defined here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.capabilities import HasSelection, capability
from zoo.metrics.base import Record, Score, expect
from zoo.metrics.perturbations.noise import random_bits
from zoo.registry import register

STREAM = 9 << 32  # draw numbers of random words, apart from those of perturbations
NAMES = ("left_out", "random", "whole", "extract")


@register
class ComplementAccuracy(Score):
    """Accuracy of a head that was fitted on the words left out, for models that select words before they answer.

    If it is as good as the answer from the extract, the selected words are not where the class is, and the selection
    may pass it on in another way. Further read-outs, accuracies as well: ``random words`` of a head on as many words
    drawn at random for each sample id; ``whole text`` of one on all words; ``extract`` of the model itself. The heads
    are fitted on the training texts together with the model.

    Example:
        >>> right, wrong = torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0, 2.0]])
        >>> score = ComplementAccuracy()
        >>> score.update(wrong, wrong, right, right, torch.tensor([0]))
        >>> float(score.compute()["left out"])
        0.0
    """

    title = "Complement accuracy"
    meaning = "accuracy of a head fitted on the words that the model left out"
    protocol = "zoo-complement-v1"
    requires = frozenset({"units", "words", "selection"})
    inputs = {**dict.fromkeys(NAMES, "finite"), "y": "class"}
    higher_is_better = False
    intervals = {
        "left out": ("", 0, 1),
        "random words": ("", 0, 1),
        "whole text": ("", 0, 1),
        "extract": ("", 0, 1),
    }
    correct: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._sum("correct", len(NAMES), dtype=torch.float64)

    def update(self, left_out: Tensor, random: Tensor, whole: Tensor, extract: Tensor, y: Tensor) -> None:
        """Add a batch.

        Args:
            left_out: logits ``(b, c)`` from the words left out.
            random: the same from words drawn at random.
            whole: the same from the whole text.
            extract: the same from the selected words, of the model itself.
            y: ``(b,)`` true classes.

        Raises:
            ValueError: if a shape does not fit.
        """
        expect("left_out", left_out, None, None)
        logits = dict(zip(NAMES, (left_out, random, whole, extract), strict=True))
        for name, value in logits.items():
            expect(name, value, *left_out.shape)
        expect("y", y, len(left_out))
        self._check(**logits, y=y)
        y = y.to(self.device)
        right = [(value.detach().to(self.device).argmax(1) == y).double() for value in logits.values()]
        self._add("correct", torch.stack(right, 1))
        self._add("samples", torch.ones(len(y), dtype=torch.int64, device=self.device))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        batch, model = record.batch, capability(record.model, HasSelection)
        assert model is not None
        bits = random_bits(batch.index.to(batch.x.device), draw=STREAM, count=batch.x.shape[1])
        noise = ((bits >> 11) & ((1 << 53) - 1)).double() * 2.0**-53
        logits = model.control_logits(batch.x, noise.float())
        answer = record.explanation.logits
        self.update(logits["left_out"], logits["random"], logits["whole"], answer, batch.targets)

    def compute(self) -> dict[str, Tensor]:
        """The accuracy and its read-outs; see the class."""
        left_out, random, whole, extract = (self.correct / self.samples.double()).unbind()
        return {
            "left out": left_out,
            "random words": random,
            "whole text": whole,
            "extract": extract,
            "support": self.samples,
        }
