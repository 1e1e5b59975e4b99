"""Numbers of Python beside float64 tensors are not rounded to float32 on their way into an ONNX file."""

import pytest
import torch

from zoo.serving.exact_scalars import translations

THIRD = 0.7234567891234  # no number of float32


class Numbers(torch.nn.Module):
    def forward(self, x):
        return {
            "reaches": x >= THIRD,
            "quotient": x / THIRD,
            "sum": x + THIRD,
            "where": torch.where(x > 0, x, THIRD),
            "filled": x.masked_fill(x < 0, THIRD),
            "clamped": x.clamp(-THIRD, THIRD),
            "softmax": torch.softmax(x / THIRD, 1),
            "single": x.float() * THIRD,
            "whole": (x > 0).long() + 3,
            "size": x / x.shape[0],
        }


@pytest.mark.slow
def test_numbers_keep_their_digits():
    onnxruntime = pytest.importorskip("onnxruntime")
    x = torch.tensor([[THIRD, 0.2, -3.0], [5.0, -THIRD, 0.0]], dtype=torch.float64)
    model = Numbers().eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (x,), dynamic_shapes=({0: batch},), strict=False)
    written = torch.onnx.export(program, dynamo=True, verbose=False, custom_translation_table=translations())
    session = onnxruntime.InferenceSession(written.model_proto.SerializeToString())
    outputs = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    for (name, expected), value in zip(model(x).items(), outputs, strict=True):
        value = torch.from_numpy(value)
        assert value.dtype == expected.dtype, name
        torch.testing.assert_close(value, expected, rtol=1e-15 if value.dtype == torch.float64 else 1e-6, atol=0)
