"""Impurities, alignment and accuracy at few non-zeros on worlds whose answers are known."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from zoo.concept_schema import Concept, ConceptSchema
from zoo.metrics.concept_purity.concept_alignment import ConceptAlignment, homogeneity
from zoo.metrics.concept_purity.niche_impurity import NicheImpurity, niche_correlation
from zoo.metrics.concept_purity.oracle_impurity import OracleImpurity
from zoo.metrics.concept_purity.sparse_accuracy import SparseAccuracy

M, N = 4, 300
SCHEMA = ConceptSchema(tuple(Concept(f"c{i}") for i in range(M)))


def world(width=1, seed=0):
    """Independent concepts and their labels as representations, with a little noise."""
    g = torch.Generator().manual_seed(seed)
    truth = (torch.rand(N, M, generator=g) < 0.5).double()
    return truth, truth[..., None] + 0.05 * torch.randn(N, M, width, generator=g, dtype=torch.float64)


def measured(score, vectors, truth):
    score.update(vectors, truth, torch.arange(len(truth)))
    return {key: value.tolist() for key, value in score.compute().items()}


@pytest.mark.parametrize("width", [1, 3])
def test_pure_representations_have_no_oracle_impurity_and_copies_have_the_largest(width):
    truth, vectors = world(width)
    pure = measured(OracleImpurity(SCHEMA, splits=1, steps=40), vectors, truth)
    assert pure["own"] > 0.99
    assert pure["oracle impurity"] < 0.25
    copies = vectors[:, :1].expand(-1, M, -1)  # every concept has the representation of the first
    impure = measured(OracleImpurity(SCHEMA, splits=1, steps=40), copies, truth)
    # M has 1 in the first column and 0.5 elsewhere, O has 1 on the diagonal and 0.5 elsewhere
    expected = np.linalg.norm(0.5 * (np.eye(M)[[0] * M] - np.eye(M))) / (M / 2)
    assert impure["oracle impurity"] == pytest.approx(expected, abs=0.15)
    whole = truth[:, None].expand(-1, M, -1) - 0.5  # every representation holds all concepts
    leaking = measured(OracleImpurity(SCHEMA, splits=1, steps=40), whole, truth)
    assert leaking["others"] > 0.4
    assert leaking["oracle impurity"] == pytest.approx(np.sqrt(M * (M - 1)) * 0.5 / (M / 2), abs=0.15)


@pytest.mark.parametrize("width", [1, 3])
def test_pure_representations_have_a_niche_impurity_of_one_half(width):
    """Published code has 0.95 for pure vectors, because it keeps the niche instead of removing it."""
    truth, vectors = world(width)
    pure = measured(NicheImpurity(SCHEMA, splits=2), vectors, truth)
    assert pure["niche impurity"] == pytest.approx(0.5, abs=0.06)
    assert pure["all"] > 0.99
    assert len(pure["curve/auroc"]) == 21
    twice = vectors.clone()
    twice[:, 0] = vectors[:, 0] * 0.3 + vectors[:, 1]  # the unit of c0 follows c1 more, and knows c0
    impure = measured(NicheImpurity(SCHEMA, splits=2), twice, truth)
    assert impure["niche impurity"] > pure["niche impurity"] + 0.03


def test_niche_correlation_equals_numpy():
    truth, vectors = world(3, seed=1)
    ours = niche_correlation(vectors, truth)
    for j in range(M):
        for i in range(M):
            expected = max(abs(np.corrcoef(truth[:, j], vectors[:, i, d])[0, 1]) for d in range(3))
            assert float(ours[j, i]) == pytest.approx(expected)


def test_alignment_of_labels_noise_and_by_hand():
    truth, vectors = world(2)
    assert measured(ConceptAlignment(SCHEMA), vectors, truth)["concept alignment"] > 0.99
    noise = torch.randn(N, M, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    values = measured(ConceptAlignment(SCHEMA), noise, truth)
    assert values["concept alignment"] == pytest.approx(values["chance"], abs=0.05)
    assert values["largest"] == round(4 * N**0.5)
    codes, labels = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1])
    inside = 0.5 * -(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3))
    assert homogeneity(codes, labels) == pytest.approx(1 - inside / -(1 / 3 * np.log(1 / 3) + 2 / 3 * np.log(2 / 3)))


def test_few_known_samples_and_unknown_concepts():
    truth, vectors = world()
    truth[:290, 0] = torch.nan
    for score in (OracleImpurity(SCHEMA), NicheImpurity(SCHEMA), ConceptAlignment(SCHEMA)):
        values = measured(score, vectors, truth)
        assert np.isnan(next(iter(values.values())))
        assert score.why == "fewer than 20 samples have all concepts known"


def test_sparse_accuracy_needs_few_weights_where_few_units_matter():
    g = torch.Generator().manual_seed(0)
    features = torch.randn(400, 20, generator=g)
    y = (features[:, :3] + 0.1 * torch.randn(400, 3, generator=g)).argmax(1)
    score = SparseAccuracy(nonzeros=[3, 12])
    train, test = torch.arange(200), torch.arange(200, 400)
    for rows, learn in ((train, True), (test, False)):
        score.update(features[rows], y[rows], rows, features=features[rows], learn=learn)
    values = {key: float(value) for key, value in score.compute().items()}
    assert values["sparse accuracy"] == values["at 3"] > 0.85
    assert values["random at 3"] < values["at 3"] - 0.2
    assert values["random at 12"] > values["random at 3"]
    head = LogisticRegression(max_iter=1000).fit(features[train, :3].numpy(), y[train].numpy())
    assert values["at 3"] == pytest.approx(head.score(features[test, :3].numpy(), y[test].numpy()), abs=0.06)
    with pytest.raises(ValueError, match="expected numbers above 0"):
        SparseAccuracy(nonzeros=[0])
    assert SparseAccuracy(nonzeros=[3]).protocol == "zoo-nec-v1/nonzeros3"
    assert SparseAccuracy().protocol == "zoo-nec-v1"
