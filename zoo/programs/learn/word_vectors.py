"""Properties of words to start from, out of the sequences themselves: no vectors from elsewhere."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_matrix
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from zoo.sequence_spec import NOTHING


def word_vectors(codes: Tensor, tokens: int, *, width: int = 100, window: int = 4) -> Tensor:
    """Vectors ``(tokens, width)`` of unit variance: words are alike that stand near the same words.

    Truncated singular value decomposition of the positive pointwise mutual information of words within ``window``
    positions (Levy, Goldberg, Neural Word Embedding as Implicit Matrix Factorization, NIPS 2014).

    Args:
        codes: ``(s, length)`` sequences.
        tokens: size of the vocabulary.
        width: of a vector; the rest is 0 where the vocabulary is smaller.
        window: how far two words may stand apart.
    """
    x, pairs = codes.cpu().numpy(), []
    for apart in range(1, window + 1):
        one, two = x[:, :-apart].ravel(), x[:, apart:].ravel()
        both = (one != NOTHING) & (two != NOTHING)
        pairs += [(one[both], two[both]), (two[both], one[both])]
    row, column = (np.concatenate(side) for side in zip(*pairs, strict=True))
    count = coo_matrix((np.ones(len(row)), (row, column)), shape=(tokens, tokens)).tocsr()
    total = np.maximum(np.asarray(count.sum(0)).ravel(), 1.0)
    count = count.tocoo()
    share = np.log(count.data * total.sum() / (total[count.row] * total[count.col]))
    matrix = coo_matrix((np.maximum(share, 0), (count.row, count.col)), shape=(tokens, tokens)).tocsr()
    rank = min(width, tokens - 1)
    u, s, _ = randomized_svd(matrix, rank, n_iter=4, random_state=0)
    vectors = u * np.sqrt(s)
    vectors = (vectors - vectors.mean(0)) / np.maximum(vectors.std(), 1e-9)
    return torch.nn.functional.pad(torch.from_numpy(np.ascontiguousarray(vectors)).float(), (0, width - rank))


def start(vectors: Tensor, variables: int, values: int, restarts: int) -> Tensor:
    """Logits ``(r, variables, values, tokens)``: each restart's own random directions, of unit variance over words."""
    directions = torch.randn(restarts, variables, values, vectors.shape[1])
    logits = directions @ vectors.T
    return (logits - logits.mean(-1, keepdim=True)) / logits.std(-1, keepdim=True).clamp_min(1e-6)
