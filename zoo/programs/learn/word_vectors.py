"""Initial properties of words, from the training sequences alone; no external word vectors."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_matrix
from torch import Tensor
from torch.nn.functional import pad

from zoo.sequence_spec import NOTHING


def word_vectors(codes: Tensor, tokens: int, *, width: int = 100, window: int = 4) -> Tensor:
    """Return vectors ``(tokens, width)`` of unit variance that are similar for words with similar neighbors.

    They are the truncated singular value decomposition of the positive pointwise mutual information of words within
    ``window`` positions (Levy, Goldberg, Neural Word Embedding as Implicit Matrix Factorization, NIPS 2014).

    Args:
        codes: ``(s, length)`` sequences.
        tokens: size of the vocabulary.
        width: of a vector; padded with 0 if the vocabulary is smaller.
        window: largest distance of two words.

    Example:
        >>> word_vectors(torch.tensor([[0, 1, 2], [2, 1, 0]]), tokens=3, width=2).shape
        torch.Size([3, 2])
    """
    x = codes.cpu().numpy()
    pairs = []
    for distance in range(1, window + 1):
        left = x[:, :-distance].ravel()
        right = x[:, distance:].ravel()
        real = (left != NOTHING) & (right != NOTHING)
        pairs += [(left[real], right[real]), (right[real], left[real])]
    row, column = (np.concatenate(side) for side in zip(*pairs, strict=True))
    count = coo_matrix((np.ones(len(row)), (row, column)), shape=(tokens, tokens)).tocsr()
    total = np.maximum(np.asarray(count.sum(0)).ravel(), 1.0)
    count = count.tocoo()
    information = np.log(count.data * total.sum() / (total[count.row] * total[count.col]))
    matrix = coo_matrix((np.maximum(information, 0), (count.row, count.col)), shape=(tokens, tokens)).tocsr()
    rank = min(width, tokens - 1)
    from sklearn.utils.extmath import randomized_svd

    u, s, _ = randomized_svd(matrix, rank, n_iter=4, random_state=0)  # pyright: ignore[reportArgumentType]
    vectors = u * np.sqrt(s)
    vectors = (vectors - vectors.mean(0)) / np.maximum(vectors.std(), 1e-9)
    return pad(torch.from_numpy(np.ascontiguousarray(vectors)).float(), (0, width - rank))


def start(vectors: Tensor, variables: int, values: int, restarts: int) -> Tensor:
    """Return initial logits ``(r, variables, values, tokens)`` of the properties of words.

    Each restart projects the vectors on its own random directions; logits have unit variance over words.
    """
    directions = torch.randn(restarts, variables, values, vectors.shape[1])
    logits = directions @ vectors.T
    return (logits - logits.mean(-1, keepdim=True)) / logits.std(-1, keepdim=True).clamp_min(1e-6)
