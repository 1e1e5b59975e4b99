"""Groups of n-grams of like meaning: k-means of their vectors, from an encoder or from the texts alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from zoo.inputs.sentences import SentenceInputs
from zoo.inputs.texts.text_encoders import encoder_spec
from zoo.layers.text.sentence_encoder import PretrainedEncoder

PIECES = 32  # word pieces of an n-gram at most
DIMENSIONS = 100  # of vectors from the texts alone


def encoder_vectors(texts: Sequence[str], encoder: str) -> Tensor:
    """Return the vectors ``(f, d)`` of n-grams as a text encoder on this machine gives them, of norm 1."""
    spec = encoder_spec(encoder)
    inputs = SentenceInputs(class_names=(), length=min(PIECES, spec.length), encoder=spec)
    codes, _ = inputs.encode(texts)
    return torch.nn.functional.normalize(PretrainedEncoder(spec, inputs.length).vectors(codes), dim=1)


def text_vectors(values: csr_matrix, *, seed: int = 0) -> Tensor:
    """Return the vectors ``(f, d)`` of n-grams from the texts that they occur in, of norm 1: latent semantic analysis.

    Args:
        values: ``(n, f)`` TF-IDF values of n texts.
        seed: of the randomized decomposition.
    """
    from sklearn.decomposition import TruncatedSVD

    rows: Any = values.shape
    size = min(DIMENSIONS, rows[0] - 1, rows[1] - 1)
    parts = TruncatedSVD(max(1, size), random_state=seed).fit(values)
    vectors = torch.from_numpy((parts.components_ * parts.singular_values_[:, None]).T.copy()).float()
    return torch.nn.functional.normalize(vectors, dim=1)


def clusters(vectors: Tensor, count: int, *, seed: int = 0) -> Tensor:
    """Return the cluster ``(f,)`` of each of f vectors ``(f, d)``, numbered without gaps by their first member."""
    from sklearn.cluster import KMeans

    labels = KMeans(min(count, len(vectors)), random_state=seed).fit_predict(vectors.double().numpy())
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty_like(first)
    rank[first.argsort(kind="stable")] = np.arange(len(first))
    return torch.from_numpy(rank[inverse].astype(np.int64))
