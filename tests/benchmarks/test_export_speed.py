"""Time of one row: an exported ONNX file beside the model in torch, both from the raw input to the explanation."""

import time

import numpy as np
import pytest
import torch

import zoo
from zoo.serving.files import onnx_feed
from zoo.serving.graph import Graph
from zoo.serving.samples import from_inputs, generated
from zoo.training.run import data_of, load_checkpoint

pytestmark = pytest.mark.benchmark
CALLS = 200


def per_call(function):
    """CPU milliseconds of one call, the mean of ``CALLS`` after a warm-up."""
    for _ in range(20):
        function()
    start = time.process_time()
    for _ in range(CALLS):
        function()
    return 1000 * (time.process_time() - start) / CALLS


@pytest.mark.parametrize("name", ["protopnet-digits", "cem-digits", "scoring_card-adult", "transformer_program-hist"])
def test_latency_of_one_row(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.set_num_threads(1)
    file = zoo.export(name, to="onnx", out=tmp_path / "model.onnx").file
    model, config = load_checkpoint(name, ())
    source = data_of(config, model)
    batches = (batch.x for batch in source.loader("test"))
    sample = next(from_inputs(model, batches, 1)) if source.is_available else next(generated(model, 2))
    graph = Graph(model)
    first = sample.raw[:1] if torch.is_tensor(sample.raw) else {key: cells[:1] for key, cells in sample.raw.items()}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options)
    feed = onnx_feed(graph, first)
    known = {given.name for given in session.get_inputs()}
    feed = {key: value for key, value in feed.items() if key in known}
    reader = sample.x[:1]
    with torch.inference_mode():
        times = {
            "onnxruntime, raw input to explanation": per_call(lambda: session.run(None, feed)),
            "torch, raw input to explanation": per_call(lambda: graph(first)),
            "torch, model.explain alone": per_call(lambda: model.explain(reader)),
            "torch, logits alone": per_call(lambda: model(reader)),
        }
    assert np.isfinite(list(times.values())).all()
    print(f"\n{name}: " + ", ".join(f"{key} {value:.2f} ms" for key, value in times.items()))
