"""The list of scores: the names that a suite may ask for, and what computes each."""

from __future__ import annotations

from zoo.metrics.attribution_maps import SCORES as MAP_SCORES
from zoo.metrics.base import Score
from zoo.metrics.concepts.concept_accuracy import ConceptAccuracy
from zoo.metrics.concepts.interventions import Interventions
from zoo.metrics.concepts.leakage import Leakage
from zoo.metrics.faithfulness.answer_agreement import AnswerAgreement
from zoo.metrics.faithfulness.completeness import Completeness
from zoo.metrics.faithfulness.inherent_interpretability import InherentInterpretability
from zoo.metrics.faithfulness.insertion_deletion import InsertionDeletion, Sufficiency
from zoo.metrics.faithfulness.unit_correlation import UnitCorrelation
from zoo.metrics.parts.consistency import Consistency
from zoo.metrics.parts.explanation_stability import ExplanationStability
from zoo.metrics.parts.label_consistency import LabelConsistency
from zoo.metrics.parts.misalignment import Misalignment
from zoo.metrics.parts.part_interventions import PartInterventions
from zoo.metrics.parts.purity import Purity
from zoo.metrics.parts.stability import Stability
from zoo.metrics.positions.board import BoardCoverage, BoardReconstruction
from zoo.metrics.positions.detectors import Detectors
from zoo.metrics.sparsity.dead_units import DeadUnits
from zoo.metrics.sparsity.effective_units import EffectiveUnits
from zoo.metrics.sparsity.redundancy import Redundancy
from zoo.metrics.task.accuracy import Accuracy

SCORES: dict[str, type[Score]] = {
    "accuracy": Accuracy,
    "consistency": Consistency,
    "stability": Stability,
    "label_consistency": LabelConsistency,
    "explanation_stability": ExplanationStability,
    "completeness": Completeness,
    "effective_units": EffectiveUnits,
    "redundancy": Redundancy,
    "unit_correlation": UnitCorrelation,
    "insertion_deletion": InsertionDeletion,
    "sufficiency": Sufficiency,
    "inherent_interpretability": InherentInterpretability,
    "answer_agreement": AnswerAgreement,
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
