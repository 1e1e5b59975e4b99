"""Importer of concept embedding models in the layout of their authors.

Source: Espinosa Zarlenga et al., Concept Embedding Models, NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from zoo.importers.imported import backbone_tensors, check_backbone, load_strictly
from zoo.inputs.image import ImageInputs
from zoo.model import SelfExplaining
from zoo.registry import create_model
from zoo.weights.state_files import read_state

BACKBONE = "pre_concept_model."
CONTEXT = "concept_context_generators."
SCORER = "concept_prob_generators."
HEAD = "c2y_model."


def import_cem(
    file: str | Path,
    *,
    backbone: str,
    class_names: Sequence[str],
    concept_names: Sequence[str],
    size: int = 224,
) -> SelfExplaining:
    """Return a concept embedding model with the weights of a file in the layout of the authors.

    The layout: ``pre_concept_model.*`` (a ResNet of torchvision with a linear layer ``fc``),
    ``concept_context_generators.I.0`` (linear, to the true and the false embedding of concept I, with a leaky ReLU),
    ``concept_prob_generators.0`` (shared by all concepts) and ``c2y_model.0`` (linear). ``fc`` and the layers of the
    embeddings follow each other without a nonlinearity, and become one layer of the model.

    Args:
        file: ``.safetensors``, or a state dict that ``torch.save`` wrote; it is read without running code.
        backbone: ResNet, by its name in torchvision and timm.
        class_names: c names, in the order of the logits; two or more.
        concept_names: of the m binary concepts, in their order.
        size: side of the images in pixels; they are normalized as those of ImageNet.

    Raises:
        ValueError: if the file cannot be read, or is not in this layout; the tensor is named.
    """
    file = Path(file).expanduser()
    check_backbone(backbone)
    state = read_state(file)
    count = len({key.split(".")[1] for key in state if key.startswith(CONTEXT)})
    needed = [f"{BACKBONE}fc.weight", f"{CONTEXT}0.0.weight", f"{SCORER}0.weight", f"{HEAD}0.weight"]
    if missing := [key for key in needed if key not in state]:
        raise ValueError(f"{file} has no {missing[0]}; expected the layout of the authors' CEM")
    if count != len(concept_names):
        raise ValueError(f"{file} has {count} concepts; {len(concept_names)} names are given")
    if more := [key for key in state if key.startswith((f"{SCORER}1.", f"{HEAD}2."))]:
        raise ValueError(f"{file} has {more[0]}; expected one scorer for all concepts and a linear head")
    contexts = [(state[f"{CONTEXT}{i}.0.weight"], state[f"{CONTEXT}{i}.0.bias"]) for i in range(count)]
    weight = torch.cat([kernel for kernel, _ in contexts]).double()
    bias = torch.cat([shift for _, shift in contexts]).double()
    fc, fc_bias = state[f"{BACKBONE}fc.weight"].double(), state[f"{BACKBONE}fc.bias"].double()
    if weight.shape[1] != len(fc):
        raise ValueError(f"{file}: {CONTEXT}0.0.weight reads {weight.shape[1]} numbers; {BACKBONE}fc gives {len(fc)}")
    head = state[f"{HEAD}0.weight"]
    if len(head) != len(class_names):
        raise ValueError(f"{file}: {HEAD}0.weight is {tuple(head.shape)}; {len(class_names)} class names are given")
    model = create_model(
        "cem",
        num_classes=len(class_names),
        backbone=backbone,
        concepts={"columns": {name: {"kind": "binary"} for name in concept_names}},
        width=len(contexts[0][0]) // 2,
    )
    tensors = {
        "embeddings.context.weight": (weight @ fc).float(),
        "embeddings.context.bias": (weight @ fc_bias + bias).float(),
        "embeddings.scorer.weight": state[f"{SCORER}0.weight"],
        "embeddings.scorer.bias": state[f"{SCORER}0.bias"],
        "head.weight": head,
        "head.bias": state[f"{HEAD}0.bias"],
    }
    load_strictly(model, tensors | backbone_tensors(state, BACKBONE, model), file)
    model.inputs = ImageInputs(size=size, class_names=class_names)
    return model.eval()
