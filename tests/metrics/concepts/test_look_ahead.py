"""Policies that look ahead compute again only the most promising groups, a few candidates at a time."""

import pytest
import torch

from zoo.concept_schema import Concept, ConceptSchema
from zoo.metrics.concepts import _intervention_order
from zoo.metrics.concepts.interventions import Interventions

M, CLASSES, N = 30, 6, 120
SCHEMA = ConceptSchema(tuple(Concept(f"c{j}") for j in range(M)))


def area(policy, **args):
    g = torch.Generator().manual_seed(0)
    weight = torch.randn(CLASSES, M, generator=g)
    truth = (torch.rand(N, M, generator=g) < 0.5).float()
    share = (0.5 * truth + 0.5 * torch.rand(N, M, generator=g)).clamp(0, 1)
    y = (truth @ weight.T).argmax(1)
    score = Interventions(SCHEMA, policies=[policy], seeds=1, **args)
    asked = []

    def decide(mask, value):
        asked.append(mask.shape[:-1].numel())
        return torch.where(mask, value, share) @ weight.T

    zeros, ones = torch.zeros(N, M), torch.ones(N, M)
    score.update(share, share, truth, y, torch.arange(N), zeros, ones, decide=decide)
    return float(score.compute()[policy]), sum(asked) / N


@pytest.mark.parametrize("policy", ["coop", "eudtp", "ectp"])
def test_an_estimate_is_close_and_asks_less(policy, monkeypatch):
    whole, many = area(policy, look_ahead=2 * M)
    lazy, few = area(policy, look_ahead=8)
    assert many == 2 * M * M + M + M + 1  # all candidates at every step, the present answer, and the curve
    assert few == 2 * M + 8 * (M - 1) + M + M + 1
    assert lazy == pytest.approx(whole, abs=0.01)
    monkeypatch.setattr(_intervention_order, "ENTRIES", 1)  # one question at a time
    assert area(policy, look_ahead=8)[0] == lazy


def test_the_protocol_names_the_estimate():
    assert Interventions(SCHEMA).protocol == "zoo-interventions-v1"
    assert Interventions(SCHEMA, look_ahead=8, policies=["coop"]).protocol == "zoo-interventions-v1/ahead8"
    for exact in ({"look_ahead": 8}, {"look_ahead": 2 * M, "policies": ["coop"]}):
        assert Interventions(SCHEMA, **exact).protocol == "zoo-interventions-v1"
    with pytest.raises(ValueError, match="look_ahead is 0"):
        Interventions(SCHEMA, look_ahead=0)
