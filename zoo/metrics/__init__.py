"""Scores of explanations. Each reads nothing but the contract, so it means the same for every family."""

from zoo.metrics.accuracy import Accuracy
from zoo.metrics.base import Score, Seen
from zoo.metrics.completeness import Completeness
from zoo.metrics.concept_accuracy import ConceptAccuracy
from zoo.metrics.consistency import Consistency
from zoo.metrics.interventions import Interventions
from zoo.metrics.leakage import Leakage
from zoo.metrics.locate import hits, peak
from zoo.metrics.perturb import Noise, gaussian_noise
from zoo.metrics.result import Result
from zoo.metrics.size import EffectiveUnits
from zoo.metrics.stability import Stability
from zoo.metrics.suite import Suite

__all__ = [
    "Accuracy",
    "Completeness",
    "ConceptAccuracy",
    "Consistency",
    "EffectiveUnits",
    "Interventions",
    "Leakage",
    "Noise",
    "Result",
    "Score",
    "Seen",
    "Stability",
    "Suite",
    "gaussian_noise",
    "hits",
    "peak",
]
