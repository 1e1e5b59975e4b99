"""The base class of models that read the vector of a text: a frozen encoder of others, or one trained here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.inputs.sentences import SentenceInputs
from zoo.inputs.texts.text_encoders import EncoderSpec
from zoo.layers.text.sentence_encoder import OwnEncoder, PretrainedEncoder, mean_state
from zoo.model import SelfExplaining
from zoo.runtime.gathering import in_order
from zoo.sequence_spec import Frame

PROBE_SCALE = 8.0  # of the unit vectors that the probe reads


class TextModel(SelfExplaining):
    """A model of the vector of a text, the mean of its token states divided by its norm.

    With ``encoder`` the states are those of a frozen encoder of others, which is named by id and hash and whose weights
    are not in the checkpoint. With ``sequence`` they are those of a small transformer that is trained from the
    sentences alone, in a phase that trains ``encoder`` and ``probe``: a linear head that is only used there.

    A family calls ``super().__init__`` with these arguments, which it takes as ``**common``:

    Args:
        num_classes: c; filled in from the data.
        sequence: vocabulary of words; filled in from the data.
        encoder: text encoder; filled in from the data.
        input_shape: ``[length]``; filled in from the data.
        width: d of an encoder trained here.
        depth: its blocks; 0 for word vectors alone.
        heads: of each block.
        dropout: of its embedded words and of the output of each sub-layer.

    Attributes:
        num_classes: c.
        encoder: of texts.

    Raises:
        ValueError: if there is neither a vocabulary nor an encoder, or a size is out of range.
    """

    input_kind = "tokens"
    num_classes: int

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        sequence: dict[str, Any] | None = None,
        encoder: dict[str, Any] | None = None,
        input_shape: list[int] | None = None,
        width: int = 64,
        depth: int = 1,
        heads: int = 2,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if num_classes is None or num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}; expected at least 1")
        if not sequence and not encoder:
            raise ValueError("the data have neither words nor a text encoder; expected sentences: data.name=sentences")
        self.save_hyperparameters()
        self.num_classes = num_classes
        self.pooled = True  # one answer for a text
        self.frame: Frame | None = None
        if encoder:
            spec = EncoderSpec.from_config(encoder)
            self.encoder = PretrainedEncoder(spec, input_shape[0] if input_shape else spec.length)
        else:
            assert sequence is not None
            self.frame = Frame.from_config({key: value for key, value in sequence.items() if key != "classes"})
            self.encoder = OwnEncoder(self.frame, width=width, depth=depth, heads=heads, dropout=dropout)
            self.probe = nn.Linear(width, num_classes)
        self.hparams["input_shape"] = [self.encoder.length]

    @property
    def is_pretrained(self) -> bool:
        """Whether the encoder is one of others."""
        return isinstance(self.encoder, PretrainedEncoder)

    def encoder_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """Return the trainable parts ``encoder`` and ``probe``; none if the encoder is one of others."""
        return {} if self.is_pretrained else {"encoder": self.encoder, "probe": self.probe}

    def part_of(self, key: str) -> str:
        """Return the name of the trainable part that a tensor of the state dict belongs to."""
        part = key.split(".", 1)[0]
        return part if part in self.trainable_parts() else "head"

    def unit_vectors(self, x: Tensor) -> Tensor:
        """Return the vectors ``(b, d)`` of texts ``(b, t)``, of norm 1."""
        vectors = self.encoder.vectors(x)
        return F.normalize(vectors.to(self.head_dtype), dim=1, eps=1e-12)

    def unit_vectors_and_states(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors ``(b, d)`` of norm 1 and the token states ``(b, t, d)`` of texts ``(b, t)``."""
        states = self.encoder.states(x)
        if isinstance(self.encoder, PretrainedEncoder) and not torch.compiler.is_exporting():
            self.encoder.keep(x, states)  # the vectors as stored: an explanation is of the same pass
            return self.unit_vectors(x), states.to(self.head_dtype)
        return F.normalize(mean_state(states, x).to(self.head_dtype), dim=1, eps=1e-12), states

    @property
    @abstractmethod
    def head_dtype(self) -> torch.dtype:
        """Type of the numbers of the head."""

    def validation_values(self, batch: Batch) -> dict[str, Tensor]:
        """Return the accuracy on a batch, of the probe while a phase trains it."""
        if "probe" not in self.phase.lr:
            return super().validation_values(batch)
        logits = self.probe(PROBE_SCALE * self.unit_vectors(batch.x))
        return {"val/accuracy of the probe": (logits.argmax(1) == batch.targets).float().mean()}

    def probe_loss(self, batch: Batch) -> Tensor:
        """Return the loss of the task of the probe, which trains the encoder.

        Raises:
            ValueError: if the encoder is one of others, which stays as it is.
        """
        if self.is_pretrained:
            raise ValueError("the text encoder is one of others and frozen; expected no phase with epochs")
        return self.task_loss(self.probe(PROBE_SCALE * self.unit_vectors(batch.x)), batch)

    @torch.no_grad()
    def split_vectors(self, loader: Iterable[Batch]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return codes ``(n, t)``, vectors ``(n, d)``, classes and indices ``(n,)`` of a split, gathered over ranks."""
        self.eval()
        moved = [b.to(self.device) for b in loader]
        if self.is_pretrained:  # long passes are cheapest together
            self.encoder.vectors(torch.cat([b.x for b in moved]))
        x, z, y, index = in_order((b.x, self.unit_vectors(b.x), b.targets, b.index, b.index) for b in moved)
        return x.cpu(), z.cpu(), y.cpu(), index.cpu()

    def written(self, x: Tensor) -> list[str]:
        """Return inputs ``(b, t)`` as they were written; by their codes where the model has no inputs."""
        if isinstance(self.inputs, SentenceInputs):
            return self.inputs.texts(x)
        return [" ".join(str(code) for code in row if code >= 0) for row in x.tolist()]

    def marks_of_pieces(self) -> tuple[Tensor, Tensor] | None:
        """Return which codes ``(v,)`` of an encoder of others are around a text, and which continue a word.

        None for an encoder trained here, or without inputs; see ``SentenceInputs.marks_of_pieces``.
        """
        return self.inputs.marks_of_pieces() if self.is_pretrained and isinstance(self.inputs, SentenceInputs) else None

    def pieces(self, x: Tensor, texts: Sequence[str]) -> list[list[str]]:
        """Return the texts of the tokens of inputs ``(b, t)``, b texts, see ``SentenceInputs.show``."""
        if isinstance(self.inputs, SentenceInputs):
            return self.inputs.show(x, texts)
        return [[f"{code} " for code in row if code >= 0] for row in x.tolist()]
