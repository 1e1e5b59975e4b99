"""Importer of ProtoPNet weights in the layout of its authors.

Source: Chen et al., This Looks Like That: Deep Learning for Interpretable Image Recognition, NeurIPS 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor

from zoo.importers.imported import backbone_tensors, check_backbone, load_strictly
from zoo.inputs.image import ImageInputs
from zoo.model import SelfExplaining
from zoo.registry import create_model
from zoo.weights.state_files import read_state

ADDON = "add_on_layers."


def import_protopnet(
    file: str | Path,
    *,
    backbone: str,
    class_names: Sequence[str],
    size: int = 224,
    similarity: Literal["log_l2", "l2"] = "log_l2",
) -> SelfExplaining:
    """Return a ProtoPNet with the weights of a file in the layout of the authors.

    The layout: ``features.*`` (the backbone), ``add_on_layers.*`` (1 x 1 convolutions and a sigmoid),
    ``prototype_vectors`` ``(u, d, i, j)`` and ``last_layer.weight`` ``(c, u)``. The class of a prototype is not in it;
    it is that of the largest weight, and must rise with the number of the prototype. The images that prototypes were
    taken from are not in it either.

    Args:
        file: ``.safetensors``, or a state dict that ``torch.save`` wrote; it is read without running code.
        backbone: ResNet or VGG, by its name in torchvision and timm.
        class_names: c names, in the order of the logits.
        size: side of the images in pixels; they are normalized as those of ImageNet.
        similarity: ``log_l2`` as published, or ``l2`` (the authors' ``linear``).

    Raises:
        ValueError: if the file cannot be read, or is not in this layout; the tensor is named.
    """
    file = Path(file).expanduser()
    check_backbone(backbone)
    state = read_state(file)
    for key in ("prototype_vectors", "last_layer.weight"):
        if key not in state:
            raise ValueError(f"{file} has no {key}; expected the layout of the authors' ProtoPNet")
    prototypes, weight = state["prototype_vectors"], state["last_layer.weight"]
    if weight.shape != (len(class_names), len(prototypes)):
        raise ValueError(
            f"{file}: last_layer.weight is {tuple(weight.shape)}; expected {len(class_names)} class names by"
            f" {len(prototypes)} prototypes"
        )
    owner = _owner(weight, file)
    convolutions = _convolutions(state, file)
    model = create_model(
        "protopnet",
        num_classes=len(class_names),
        backbone=backbone,
        per_class=max(1, len(prototypes) // len(class_names)),
        dim=prototypes.shape[1],
        prototype_size=prototypes.shape[2],
        similarity=similarity,
        addon="regular" if len(convolutions) == 2 else "bottleneck",
        sigmoid=True,
    )
    tensors = {"prototypes": prototypes, "head.weight": weight, "owner": owner}
    model.resize_for(tensors)
    resized = model.state_dict()
    tensors |= {key: value for key, value in resized.items() if key.startswith("source_")}
    places = sorted({int(key.split(".")[1]) for key in resized if key.startswith("addon.")})
    for place, (kernel, bias) in zip(places, convolutions, strict=False):
        tensors |= {f"addon.{place}.weight": kernel, f"addon.{place}.bias": bias}
    load_strictly(model, tensors | backbone_tensors(state, "features.", model), file)
    model.inputs = ImageInputs(size=size, class_names=class_names)
    return model.eval()


def _owner(weight: Tensor, file: Path) -> Tensor:
    owner = weight.argmax(0)
    if bool((owner.diff() < 0).any()):
        first = int((owner.diff() < 0).nonzero()[0]) + 1
        raise ValueError(
            f"{file}: the largest weight of prototype {first} is to class {int(owner[first])}, of the one before to"
            f" {int(owner[first - 1])}; expected prototypes in the order of their classes"
        )
    return owner


def _convolutions(state: dict[str, Tensor], file: Path) -> list[tuple[Tensor, Tensor]]:
    """Return weights and biases of the add-on layers, in their order."""
    places = {key.split(".")[1] for key in state if key.startswith(ADDON)}
    numbers = sorted(int(place) for place in places if place.isdecimal())
    if not numbers:
        raise ValueError(f"{file} has no {ADDON}0.weight; expected the layout of the authors' ProtoPNet")
    return [(state[f"{ADDON}{n}.weight"], state[f"{ADDON}{n}.bias"]) for n in numbers]
