"""The list of scores: the names that a suite may ask for, and what computes each."""

from __future__ import annotations

from zoo.metrics.accuracy import Accuracy
from zoo.metrics.base import Score
from zoo.metrics.board import BoardCoverage, BoardReconstruction
from zoo.metrics.completeness import Completeness
from zoo.metrics.concept_accuracy import ConceptAccuracy
from zoo.metrics.consistency import Consistency
from zoo.metrics.dead import DeadUnits
from zoo.metrics.detectors import Detectors
from zoo.metrics.duplicates import Duplicates
from zoo.metrics.explanation_stability import ExplanationStability
from zoo.metrics.faithfulness import UnitCorrectness
from zoo.metrics.interventions import Interventions
from zoo.metrics.label_consistency import LabelConsistency
from zoo.metrics.leakage import Leakage
from zoo.metrics.maps import SCORES as MAP_SCORES
from zoo.metrics.misalignment import Misalignment
from zoo.metrics.part_interventions import PartInterventions
from zoo.metrics.purity import Purity
from zoo.metrics.retention import Retention
from zoo.metrics.sameness import SameAnswer
from zoo.metrics.selection import Sufficiency, UnitCurves
from zoo.metrics.size import EffectiveUnits
from zoo.metrics.stability import Stability

SCORES: dict[str, type[Score]] = {
    "accuracy": Accuracy,
    "consistency": Consistency,
    "stability": Stability,
    "label_consistency": LabelConsistency,
    "explanation_stability": ExplanationStability,
    "completeness": Completeness,
    "effective_units": EffectiveUnits,
    "duplicates": Duplicates,
    "unit_correctness": UnitCorrectness,
    "unit_curves": UnitCurves,
    "sufficiency": Sufficiency,
    "retention": Retention,
    "same_answer": SameAnswer,
    "purity": Purity,
    "misalignment": Misalignment,
    "part_interventions": PartInterventions,
    **MAP_SCORES,
    "concept_accuracy": ConceptAccuracy,
    "interventions": Interventions,
    "leakage": Leakage,
    "dead_units": DeadUnits,
    "detectors": Detectors,
    "board_coverage": BoardCoverage,
    "board_reconstruction": BoardReconstruction,
}
