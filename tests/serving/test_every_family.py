"""Every registered family and every shipped checkpoint becomes a graph that computes the same, in torch and as ONNX."""

import pytest
import torch
from test_contract import CASES, CLASSES, SIZE, build, draw

import zoo
from zoo.batch import Batch
from zoo.inputs.image import ImageInputs
from zoo.models.baselines.boosting import Boosting
from zoo.serving.files import open_onnx, open_torch, write_onnx, write_torch
from zoo.serving.graph import Graph
from zoo.serving.samples import Samples
from zoo.serving.trial import trial

pytestmark = pytest.mark.slow


def loops(model):
    """Names of the loops in an ONNX model and its functions."""
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    return [node.name for node in nodes if node.op_type in ("Loop", "Scan")]


@pytest.mark.parametrize(("name", "extra"), CASES, ids=str)
def test_every_family_is_a_graph(name, extra, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model = build(name, extra)
    model.inputs = ImageInputs(size=SIZE, class_names=list("abcd"))
    graph = Graph(model)
    graph.raw = torch.nn.Identity()  # the inputs of the model as they are
    x = draw(model, 7, torch.Generator().manual_seed(0))
    if isinstance(model, Boosting):  # without trees there is nothing to compute
        rows = draw(model, 200, torch.Generator().manual_seed(1))
        model.fit_trees([Batch(rows, torch.arange(200) % CLASSES, torch.arange(200))], max_iter=3)
    samples = [Samples(part, part) for part in (x, x[:1], x[1:4])]
    about = {"outputs": list(graph(x)), "checkpoint": "", "model": name, "zoo": ""}
    file = tmp_path / "model.pt2"
    write_torch(graph, x[:3], about, file)
    done = trial(graph, open_torch(graph, file), samples)
    assert done.logit_difference < 1e-5
    assert done.other_answers == 0
    file = tmp_path / "model.onnx"
    write_onnx(graph, x[:3], about, file)
    assert not loops(onnx.load(file)), "an operation that ONNX lacks has become a loop over samples or positions"
    done = trial(graph, open_onnx(graph, file), samples)
    assert done.logit_difference < 1e-4
    assert max(done.differences.values()) < 1e-3


@pytest.mark.parametrize("form", ["torch", "onnx"])
@pytest.mark.parametrize("name", zoo.list_checkpoints())
def test_every_checkpoint_is_exported(name, form, tmp_path):
    pytest.importorskip("onnxruntime")
    result = zoo.export(name, to=form, out=tmp_path / "file")
    assert result.count >= 100
    assert result.changed_answers == 0
    assert result.reader_difference < 1e-3
