"""Scores of explanations. Each reads nothing but the contract, so it means the same for every family.

Where to look:
    the answer: ``accuracy``, ``completeness``
    parts and labels: ``consistency``, ``label_consistency``, ``stability``, ``explanation_stability``;
        below them ``counts``, ``locate``
    changes that should not matter: ``perturbations`` by name; ``perturb``, ``perturb_image``, ``_move``, ``_tokens``
    how sure, and what chance gives: ``intervals``, ``estimate``; ``above_chance``, ``nulls``
    faithfulness: ``faithfulness``, ``selection``, ``retention``, ``sameness`` on ``ablate``, ``correlation``
    size: ``size``, ``duplicates``
    concepts: ``concept_accuracy``, ``interventions`` with ``policies``, ``leakage``
    prototypes: ``purity``, ``misalignment``, ``part_interventions`` on ``patches``, ``attack``, ``rerender``
    maps over the input: ``maps``
    units that fire: ``dead``; what they tell of positions: ``board``, ``detectors`` on
        ``positions``, ``watch``, ``detect``
    several trainings: ``matching``, ``activations``
    how it runs: ``base``, ``look``, ``suite``, ``suite_files``, ``result``
"""

from zoo.metrics.above_chance import AboveChance
from zoo.metrics.accuracy import Accuracy
from zoo.metrics.activations import Activations
from zoo.metrics.base import Score, Seen
from zoo.metrics.board import BoardCoverage, BoardReconstruction
from zoo.metrics.completeness import Completeness
from zoo.metrics.concept_accuracy import ConceptAccuracy
from zoo.metrics.consistency import Consistency
from zoo.metrics.dead import DeadUnits
from zoo.metrics.detectors import Detectors
from zoo.metrics.duplicates import Duplicates
from zoo.metrics.explanation_stability import ExplanationStability
from zoo.metrics.faithfulness import UnitCorrectness
from zoo.metrics.intervals import Interval
from zoo.metrics.interventions import Interventions
from zoo.metrics.label_consistency import LabelConsistency
from zoo.metrics.leakage import Leakage
from zoo.metrics.locate import hits, mask_hits, peak
from zoo.metrics.maps import (
    Dissection,
    Infidelity,
    MapComplexity,
    MapDeletion,
    MapLocalisation,
    MapSensitivity,
    Randomisation,
    Road,
    SensitivityN,
)
from zoo.metrics.misalignment import Misalignment
from zoo.metrics.part_interventions import PartInterventions
from zoo.metrics.perturb import Noise, gaussian_noise
from zoo.metrics.purity import Purity
from zoo.metrics.result import Result
from zoo.metrics.retention import Retention
from zoo.metrics.sameness import SameAnswer
from zoo.metrics.selection import Sufficiency, UnitCurves
from zoo.metrics.size import EffectiveUnits
from zoo.metrics.stability import Stability
from zoo.metrics.suite import Suite

__all__ = [
    "AboveChance",
    "Accuracy",
    "Activations",
    "BoardCoverage",
    "BoardReconstruction",
    "Completeness",
    "ConceptAccuracy",
    "Consistency",
    "DeadUnits",
    "Detectors",
    "Dissection",
    "Duplicates",
    "EffectiveUnits",
    "ExplanationStability",
    "Infidelity",
    "Interval",
    "Interventions",
    "LabelConsistency",
    "Leakage",
    "MapComplexity",
    "MapDeletion",
    "MapLocalisation",
    "MapSensitivity",
    "Misalignment",
    "Noise",
    "PartInterventions",
    "Purity",
    "Randomisation",
    "Result",
    "Retention",
    "Road",
    "SameAnswer",
    "Score",
    "Seen",
    "SensitivityN",
    "Stability",
    "Sufficiency",
    "Suite",
    "UnitCorrectness",
    "UnitCurves",
    "gaussian_noise",
    "hits",
    "mask_hits",
    "peak",
]
