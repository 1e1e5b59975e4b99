"""What all importers share: the backbone's tensors, strict loading, and the checkpoint of an imported model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo import checkpoint
from zoo.inputs.image import ImageInputs
from zoo.model import SelfExplaining
from zoo.weights.tensors import check_finite

BACKBONES = re.compile(r"(resnet(18|34|50|101|152))|(vgg(11|13|16|19)(_bn)?)")
COUNTER = "num_batches_tracked"  # of batch norms; files of early versions of torch have none


def check_backbone(backbone: str) -> None:
    """Refuse a backbone whose tensors have other names in timm than in torchvision.

    Raises:
        ValueError: naming those that are known.
    """
    if not BACKBONES.fullmatch(backbone):
        raise ValueError(
            f"the backbone is {backbone!r}; expected resnet18, 34, 50, 101 or 152, or vgg11, 13, 16 or 19, with or"
            " without _bn"
        )


def backbone_tensors(state: Mapping[str, Tensor], prefix: str, model: SelfExplaining) -> dict[str, Tensor]:
    """Return the tensors of a backbone by their names in the model; those that the file lacks are left out.

    Args:
        state: tensors with the names of torchvision behind ``prefix``.
        prefix: such as ``features.``.
        model: whose backbone is timm's network of the same name.
    """
    tensors = {}
    for key, value in model.state_dict().items():
        if key.startswith("backbone.net."):
            name = re.sub(r"^features_(\d+)", r"features.\1", key.removeprefix("backbone.net."))
            if prefix + name in state:
                tensors[key] = state[prefix + name]
            elif key.endswith(COUNTER):
                tensors[key] = value
    return tensors


def load_strictly(model: SelfExplaining, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Load tensors into a model, all of them or none.

    Raises:
        ValueError: naming a tensor that the file lacks, that has another shape, or that is not finite.
    """
    own = model.state_dict()
    if missing := sorted(own.keys() - tensors.keys()):
        raise ValueError(f"{file} lacks {missing[0]} of a {model.name} ({len(missing)} tensors in all)")
    for key, value in tensors.items():
        if own[key].shape != value.shape:
            raise ValueError(f"{file}: {key} is {tuple(value.shape)}; expected {tuple(own[key].shape)}")
    check_finite(dict(tensors), str(file), "the weights are not usable")
    model.load_state_dict({key: value.to(own[key].dtype) for key, value in tensors.items()})


def save_imported(model: SelfExplaining, folder: str | Path, *, source: str = "") -> Path:
    """Write an imported model as a checkpoint, and return its folder.

    It predicts, explains and exports like any other; ``zoo evaluate FOLDER data.root=pictures`` scores it on pictures
    of its classes.


    Args:
        model: from an importer.
        folder: of the checkpoint.
        source: where the weights came from, for the card.

    Raises:
        ValueError: if the model has no inputs, or a tensor is not finite.
    """
    if not isinstance(model.inputs, ImageInputs):
        raise ValueError("the model has no inputs; expected one that an importer returned")
    folder = Path(folder)
    arguments = {key: value for key, value in model.hparams.items() if value is not None}
    data: dict[str, Any] = {"name": "folder", "root": "pictures", "size": model.inputs.size}
    config = {"version": 2, "model": {"name": model.name, **arguments}, "data": data}
    about = f"{model.name} with {len(model.units)} units, imported weights. Source: {source or 'unknown'}."
    card = f"# {folder.name}\n\n{about}\n"
    return checkpoint.save(
        folder, model, config=config, metrics={"scores": {}}, card=card, unit_lines=model.units.names
    )
