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

from zoo.metrics.attribution_maps import (
    Dissection,
    Infidelity,
    MapComplexity,
    MapDeletion,
    MapLocalization,
    MapSensitivity,
    Mprt,
    Road,
    SensitivityN,
)
from zoo.metrics.base import Record, Score
from zoo.metrics.concepts.concept_accuracy import ConceptAccuracy
from zoo.metrics.concepts.interventions import Interventions
from zoo.metrics.concepts.leakage import Leakage
from zoo.metrics.faithfulness.answer_agreement import AnswerAgreement
from zoo.metrics.faithfulness.completeness import Completeness
from zoo.metrics.faithfulness.inherent_interpretability import InherentInterpretability
from zoo.metrics.faithfulness.insertion_deletion import InsertionDeletion, Sufficiency
from zoo.metrics.faithfulness.unit_correlation import UnitCorrelation
from zoo.metrics.matching.activations import Activations
from zoo.metrics.parts._localization import hits, mask_hits, peak
from zoo.metrics.parts.consistency import Consistency
from zoo.metrics.parts.explanation_stability import ExplanationStability
from zoo.metrics.parts.label_consistency import LabelConsistency
from zoo.metrics.parts.misalignment import Misalignment
from zoo.metrics.parts.part_interventions import PartInterventions
from zoo.metrics.parts.purity import Purity
from zoo.metrics.parts.stability import Stability
from zoo.metrics.perturbations.noise import Noise, gaussian_noise
from zoo.metrics.positions.board import BoardCoverage, BoardReconstruction
from zoo.metrics.positions.detectors import Detectors
from zoo.metrics.result import Result
from zoo.metrics.sparsity.dead_units import DeadUnits
from zoo.metrics.sparsity.effective_units import EffectiveUnits
from zoo.metrics.sparsity.redundancy import Redundancy
from zoo.metrics.suite import Suite
from zoo.metrics.task.accuracy import Accuracy
from zoo.metrics.wrappers.bootstrap import Interval
from zoo.metrics.wrappers.chance_adjusted import ChanceAdjusted

__all__ = [
    "ChanceAdjusted",
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
    "Redundancy",
    "EffectiveUnits",
    "ExplanationStability",
    "Infidelity",
    "Interval",
    "Interventions",
    "LabelConsistency",
    "Leakage",
    "MapComplexity",
    "MapDeletion",
    "MapLocalization",
    "MapSensitivity",
    "Misalignment",
    "Noise",
    "PartInterventions",
    "Purity",
    "Mprt",
    "Result",
    "InherentInterpretability",
    "Road",
    "AnswerAgreement",
    "Score",
    "Record",
    "SensitivityN",
    "Stability",
    "Sufficiency",
    "Suite",
    "UnitCorrelation",
    "InsertionDeletion",
    "gaussian_noise",
    "hits",
    "mask_hits",
    "peak",
]
