"""Capabilities of models beyond the contract: declared by name in ``model.capabilities``, typed by Protocols.

A family lists what each instance offers, so scores, pages and recipes need neither ``hasattr`` nor a family's name::

    if (prototypes := capability(model, HasSources)) is not None:
        origin = prototypes.sources()
"""

from zoo.capabilities.answers import (
    DecisionPath,
    HasAffineHead,
    HasClassSums,
    HasDecisionPaths,
    HasExtraMetrics,
    HasFeatures,
    HasFeatureTables,
    HasPointsCard,
    HasShapeFunctions,
    HasTrace,
    PathStep,
)
from zoo.capabilities.concepts import (
    HasConcepts,
    HasConceptUncertainty,
    HasConceptVectors,
    HasCorrectionPolicy,
)
from zoo.capabilities.declared import (
    Capability,
    capability,
)
from zoo.capabilities.sequences import (
    HasProgram,
    LanguageModel,
    Steerable,
)
from zoo.capabilities.sources import (
    HasFixedShape,
    HasWindows,
)
from zoo.capabilities.units import (
    Directions,
    Editable,
    HasActivity,
    HasChosenCodes,
    HasDirections,
    HasHiddenNeurons,
    HasSelection,
    HasSources,
    HasSourceTexts,
    HasStrengthWords,
    HasUnitChoices,
    HasUnitTemplates,
    HasUnitValues,
    Sources,
    SourceText,
    UnitChoice,
)

__all__ = [
    "Capability",
    "DecisionPath",
    "Directions",
    "Editable",
    "HasActivity",
    "HasAffineHead",
    "HasChosenCodes",
    "HasClassSums",
    "HasConceptUncertainty",
    "HasConceptVectors",
    "HasConcepts",
    "HasCorrectionPolicy",
    "HasDecisionPaths",
    "HasDirections",
    "HasExtraMetrics",
    "HasFeatureTables",
    "HasFeatures",
    "HasFixedShape",
    "HasHiddenNeurons",
    "HasPointsCard",
    "HasProgram",
    "HasSelection",
    "HasShapeFunctions",
    "HasSourceTexts",
    "HasSources",
    "HasStrengthWords",
    "HasTrace",
    "HasUnitChoices",
    "HasUnitTemplates",
    "HasUnitValues",
    "HasWindows",
    "LanguageModel",
    "PathStep",
    "SourceText",
    "Sources",
    "Steerable",
    "UnitChoice",
    "capability",
]
