"""What leaving a word out of a text changes: the logit is computed again without it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.model import SelfExplaining
from zoo.sequence_spec import NOTHING

PASSES = 64  # texts of a forward pass


@torch.no_grad()
def occlusion(model: SelfExplaining, x: Tensor, pieces: Sequence[str], target: int) -> Tensor:
    """Return by how much the logit of a class falls when each word of a text is left out, ``(n,)`` for its n tokens.

    All tokens of a word are left out together, and have one number. Tokens that are not in the text, such as ``[CLS]``,
    stay and have 0. It is another method than a unit's evidence over the tokens, which is read off one pass.

    Args:
        model: in eval mode.
        x: ``(t,)`` codes of the text, padded with -1.
        pieces: the texts of its n tokens.
        target: the class.
    """
    words = words_of(pieces)
    if len(set(words) - {-1}) < 2:
        return torch.zeros(len(pieces))
    rows = [x]
    groups = sorted(set(words) - {-1})
    for group in groups:
        kept = torch.tensor([word != group for word in words])
        row = torch.full_like(x, NOTHING)
        row[: int(kept.sum())] = x[: len(words)][kept]
        rows.append(row)
    logits = torch.cat([model(chunk)[:, target] for chunk in torch.stack(rows).split(PASSES)]).float().cpu()
    change = dict(zip(groups, (logits[0] - logits[1:]).tolist(), strict=True))
    return torch.tensor([change.get(word, 0.0) for word in words])


def words_of(pieces: Sequence[str]) -> list[int]:
    """Return the number of the word that each token belongs to; -1 for a token that is not in the text.

    Example:
        >>> words_of(["[CLS] ", "over", "rated ", "film", ". ", " [SEP]"])
        [-1, 0, 0, 1, 2, -1]
    """
    words: list[int] = []
    number = -1
    joined = False  # whether the next token continues the word
    for piece in pieces:
        bare = piece.strip()
        if bare.startswith(("[", "<")) and bare.endswith(("]", ">")) and len(bare) > 2:
            words.append(-1)
            joined = False
            continue
        is_word = any(letter.isalnum() for letter in bare)
        number += not (joined and is_word)
        words.append(number)
        joined = is_word and piece == piece.rstrip()
    return words
