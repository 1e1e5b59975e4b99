"""Scores of maps over the input: pure per-sample functions, and the scores that average them.

Any attribution will do: a map of the zoo's own units through ``evidence``, or a user's ``(b, h, w)`` tensor.
"""

from zoo.metrics.correlation import spearman
from zoo.metrics.maps.complexity import MapComplexity, entropy, gini
from zoo.metrics.maps.deletion import MapDeletion, deletion
from zoo.metrics.maps.dissect import Dissection, iou, overlap, thresholds
from zoo.metrics.maps.evidence import attributor, evidence
from zoo.metrics.maps.impute import fill, impute
from zoo.metrics.maps.infidelity import Infidelity, infidelity, noise, squares
from zoo.metrics.maps.localisation import MapLocalisation, mass, pointing, rank
from zoo.metrics.maps.randomisation import Randomisation, mprt, randomised
from zoo.metrics.maps.road import Road, road
from zoo.metrics.maps.score import MapScore
from zoo.metrics.maps.sensitivity import MapSensitivity, nearby, robustness
from zoo.metrics.maps.sensitivity_n import SensitivityN, sensitivity_n

SCORES = {
    "map_complexity": MapComplexity,
    "map_localisation": MapLocalisation,
    "map_sensitivity": MapSensitivity,
    "map_deletion": MapDeletion,
    "road": Road,
    "infidelity": Infidelity,
    "sensitivity_n": SensitivityN,
    "mprt": Randomisation,
    "dissection": Dissection,
}

__all__ = [
    "SCORES",
    "MapDeletion",
    "Dissection",
    "Infidelity",
    "MapComplexity",
    "MapLocalisation",
    "MapScore",
    "MapSensitivity",
    "Randomisation",
    "Road",
    "SensitivityN",
    "attributor",
    "deletion",
    "entropy",
    "evidence",
    "fill",
    "gini",
    "impute",
    "infidelity",
    "iou",
    "mass",
    "mprt",
    "nearby",
    "noise",
    "overlap",
    "pointing",
    "randomised",
    "rank",
    "road",
    "robustness",
    "sensitivity_n",
    "spearman",
    "squares",
    "thresholds",
]
