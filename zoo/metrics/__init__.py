"""Scores of explanations. Each reads nothing but the contract, so it means the same for every family.

Where to look, one file a score:
    ``task/``, ``regression/``: is the prediction right?
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

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from zoo.metrics.concept_purity.concept_alignment import ConceptAlignment
    from zoo.metrics.concept_purity.niche_impurity import NicheImpurity
    from zoo.metrics.concept_purity.oracle_impurity import OracleImpurity
    from zoo.metrics.concept_purity.sparse_accuracy import SparseAccuracy
    from zoo.metrics.concepts.concept_accuracy import ConceptAccuracy
    from zoo.metrics.concepts.interventions import Interventions
    from zoo.metrics.concepts.leakage import Leakage
    from zoo.metrics.faithfulness.answer_agreement import AnswerAgreement
    from zoo.metrics.faithfulness.complement_accuracy import ComplementAccuracy
    from zoo.metrics.faithfulness.completeness import Completeness
    from zoo.metrics.faithfulness.inherent_interpretability import InherentInterpretability
    from zoo.metrics.faithfulness.insertion_deletion import InsertionDeletion
    from zoo.metrics.faithfulness.sufficiency import Sufficiency
    from zoo.metrics.faithfulness.unit_correlation import UnitCorrelation
    from zoo.metrics.faithfulness.word_comprehensiveness import WordComprehensiveness
    from zoo.metrics.faithfulness.word_sufficiency import WordSufficiency
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
    from zoo.metrics.regression.mae import Mae
    from zoo.metrics.regression.r2 import R2
    from zoo.metrics.regression.rmse import Rmse
    from zoo.metrics.score_result import Result
    from zoo.metrics.sparsity.dead_units import DeadUnits
    from zoo.metrics.sparsity.effective_units import EffectiveUnits
    from zoo.metrics.sparsity.part_variety import PartVariety
    from zoo.metrics.sparsity.redundancy import Redundancy
    from zoo.metrics.suite import Suite
    from zoo.metrics.task.accuracy import Accuracy
    from zoo.metrics.task.auroc import Auroc
    from zoo.metrics.task.average_precision import AveragePrecision
    from zoo.metrics.task.balanced_accuracy import BalancedAccuracy
    from zoo.metrics.task.brier import Brier
    from zoo.metrics.task.calibration_error import CalibrationError
    from zoo.metrics.task.confusion_matrix import ConfusionMatrix
    from zoo.metrics.task.label_accuracy import LabelAccuracy
    from zoo.metrics.task.log_loss import LogLoss
    from zoo.metrics.task.macro_f1 import MacroF1
    from zoo.metrics.task.risk_coverage import RiskCoverageArea
    from zoo.metrics.wrappers.bootstrap import BootstrapInterval
    from zoo.metrics.wrappers.chance_adjusted import ChanceAdjusted

__all__ = [
    "Accuracy",
    "Activations",
    "AnswerAgreement",
    "Auroc",
    "AveragePrecision",
    "BalancedAccuracy",
    "BoardCoverage",
    "BoardReconstruction",
    "BootstrapInterval",
    "Brier",
    "CalibrationError",
    "ChanceAdjusted",
    "ComplementAccuracy",
    "Completeness",
    "ConceptAccuracy",
    "ConceptAlignment",
    "ConfusionMatrix",
    "Consistency",
    "DeadUnits",
    "Detectors",
    "Dissection",
    "EffectiveUnits",
    "ExplanationStability",
    "Infidelity",
    "InherentInterpretability",
    "InsertionDeletion",
    "Interventions",
    "LabelAccuracy",
    "LabelConsistency",
    "Leakage",
    "LogLoss",
    "MacroF1",
    "Mae",
    "MapComplexity",
    "MapDeletion",
    "MapLocalization",
    "MapSensitivity",
    "Misalignment",
    "Mprt",
    "NicheImpurity",
    "Noise",
    "OracleImpurity",
    "PartInterventions",
    "PartVariety",
    "Purity",
    "R2",
    "Record",
    "Redundancy",
    "Result",
    "RiskCoverageArea",
    "Rmse",
    "Road",
    "Score",
    "SensitivityN",
    "SparseAccuracy",
    "Stability",
    "Sufficiency",
    "Suite",
    "UnitCorrelation",
    "WordComprehensiveness",
    "WordSufficiency",
    "gaussian_noise",
    "hits",
    "mask_hits",
    "peak",
]

# module -> names; imported when first used
_NAMES = {
    "attribution_maps": (
        "Dissection",
        "Infidelity",
        "MapComplexity",
        "MapDeletion",
        "MapLocalization",
        "MapSensitivity",
        "Mprt",
        "Road",
        "SensitivityN",
    ),
    "base": (
        "Record",
        "Score",
    ),
    "concept_purity.concept_alignment": ("ConceptAlignment",),
    "concept_purity.niche_impurity": ("NicheImpurity",),
    "concept_purity.oracle_impurity": ("OracleImpurity",),
    "concept_purity.sparse_accuracy": ("SparseAccuracy",),
    "concepts.concept_accuracy": ("ConceptAccuracy",),
    "concepts.interventions": ("Interventions",),
    "concepts.leakage": ("Leakage",),
    "faithfulness.answer_agreement": ("AnswerAgreement",),
    "faithfulness.complement_accuracy": ("ComplementAccuracy",),
    "faithfulness.completeness": ("Completeness",),
    "faithfulness.inherent_interpretability": ("InherentInterpretability",),
    "faithfulness.insertion_deletion": ("InsertionDeletion",),
    "faithfulness.sufficiency": ("Sufficiency",),
    "faithfulness.unit_correlation": ("UnitCorrelation",),
    "faithfulness.word_comprehensiveness": ("WordComprehensiveness",),
    "faithfulness.word_sufficiency": ("WordSufficiency",),
    "matching.activations": ("Activations",),
    "parts._localization": (
        "hits",
        "mask_hits",
        "peak",
    ),
    "parts.consistency": ("Consistency",),
    "parts.explanation_stability": ("ExplanationStability",),
    "parts.label_consistency": ("LabelConsistency",),
    "parts.misalignment": ("Misalignment",),
    "parts.part_interventions": ("PartInterventions",),
    "parts.purity": ("Purity",),
    "parts.stability": ("Stability",),
    "perturbations.noise": (
        "Noise",
        "gaussian_noise",
    ),
    "positions.board_coverage": ("BoardCoverage",),
    "positions.board_reconstruction": ("BoardReconstruction",),
    "positions.detectors": ("Detectors",),
    "score_result": ("Result",),
    "sparsity.dead_units": ("DeadUnits",),
    "sparsity.effective_units": ("EffectiveUnits",),
    "sparsity.part_variety": ("PartVariety",),
    "sparsity.redundancy": ("Redundancy",),
    "suite": ("Suite",),
    "task.accuracy": ("Accuracy",),
    "regression.mae": ("Mae",),
    "regression.r2": ("R2",),
    "regression.rmse": ("Rmse",),
    "task.auroc": ("Auroc",),
    "task.average_precision": ("AveragePrecision",),
    "task.balanced_accuracy": ("BalancedAccuracy",),
    "task.brier": ("Brier",),
    "task.calibration_error": ("CalibrationError",),
    "task.confusion_matrix": ("ConfusionMatrix",),
    "task.label_accuracy": ("LabelAccuracy",),
    "task.log_loss": ("LogLoss",),
    "task.macro_f1": ("MacroF1",),
    "task.risk_coverage": ("RiskCoverageArea",),
    "wrappers.bootstrap": ("BootstrapInterval",),
    "wrappers.chance_adjusted": ("ChanceAdjusted",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
