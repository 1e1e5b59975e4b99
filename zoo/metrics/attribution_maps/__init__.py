"""Scores of maps over the input: pure per-sample functions, and the scores that average them.

Any attribution will do: a map of the zoo's own units through ``evidence``, or a user's ``(b, h, w)`` tensor.
"""

from zoo.metrics._correlation import spearman
from zoo.metrics.attribution_maps._evidence import attributor, evidence
from zoo.metrics.attribution_maps._impute import fill, impute
from zoo.metrics.attribution_maps._map_score import MapScore
from zoo.metrics.attribution_maps._overlap import iou, overlap, thresholds
from zoo.metrics.attribution_maps.dissection import Dissection
from zoo.metrics.attribution_maps.infidelity import Infidelity, infidelity
from zoo.metrics.attribution_maps.map_complexity import MapComplexity, entropy, gini
from zoo.metrics.attribution_maps.map_deletion import MapDeletion, deletion
from zoo.metrics.attribution_maps.map_localization import MapLocalization, mass, pointing, rank
from zoo.metrics.attribution_maps.map_sensitivity import MapSensitivity, robustness
from zoo.metrics.attribution_maps.mprt import Mprt, mprt
from zoo.metrics.attribution_maps.road import Road, road
from zoo.metrics.attribution_maps.sensitivity_n import SensitivityN, sensitivity_n
from zoo.metrics.perturbations._parameters import randomized
from zoo.metrics.perturbations._pixel_changes import nearby, noise, squares

__all__ = [
    "MapDeletion",
    "Dissection",
    "Infidelity",
    "MapComplexity",
    "MapLocalization",
    "MapScore",
    "MapSensitivity",
    "Mprt",
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
    "randomized",
    "rank",
    "road",
    "robustness",
    "sensitivity_n",
    "spearman",
    "squares",
    "thresholds",
]
