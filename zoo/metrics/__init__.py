"""Scores of explanations. Each reads nothing but the contract, so it means the same for every family.

Where to look, one file a score:
    ``task/``: is the prediction right?
    ``parts/``: do units match object parts and labels, and still do when the input changes?
    ``faithfulness/``: does the prediction change as the contributions say?
    ``sparsity/``: how many units does an explanation need?
    ``concepts/``: are concepts right, and do they carry the prediction?
    ``attribution_maps/``: maps over the input
    ``positions/``: units at positions of sequences with known properties
    ``matching/``: the units of several trainings
    ``perturbations/``: changes of the input by name; ``wrappers/``: confidence intervals and chance levels
    ``base``, ``record``, ``suite``, ``result``: how scores run
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
from zoo.metrics.faithfulness.insertion_deletion import InsertionDeletion
from zoo.metrics.faithfulness.sufficiency import Sufficiency
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
from zoo.metrics.positions.board_coverage import BoardCoverage
from zoo.metrics.positions.board_reconstruction import BoardReconstruction
from zoo.metrics.positions.detectors import Detectors
from zoo.metrics.result import Result
from zoo.metrics.sparsity.dead_units import DeadUnits
from zoo.metrics.sparsity.effective_units import EffectiveUnits
from zoo.metrics.sparsity.redundancy import Redundancy
from zoo.metrics.suite import Suite
from zoo.metrics.task.accuracy import Accuracy
from zoo.metrics.wrappers.bootstrap import BootstrapInterval
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
    "BootstrapInterval",
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
