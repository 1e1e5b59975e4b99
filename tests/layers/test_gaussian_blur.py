import pytest
import torch
from scipy.ndimage import gaussian_filter

from zoo import create_model
from zoo.layers.gaussian_blur import GaussianBlur


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.5])
def test_against_scipy(sigma):
    x = torch.randn(2, 3, 20, 12, dtype=torch.float64)
    radius = len(GaussianBlur(sigma).kernel) // 2
    expected = gaussian_filter(x.numpy(), (0, 0, sigma, sigma), mode="nearest", radius=radius)
    torch.testing.assert_close(GaussianBlur(sigma)(x), torch.from_numpy(expected), rtol=1e-6, atol=1e-6)
    assert radius >= 3 * sigma


def test_images_smaller_than_the_filter():
    torch.testing.assert_close(GaussianBlur(3.0)(torch.full((1, 1, 2, 2), 5.0)), torch.full((1, 1, 2, 2), 5.0))


@torch.no_grad()
def test_a_filter_is_a_part_of_the_model():
    args = {"num_classes": 2, "backbone": "resnet10t"}
    model, plain = (create_model("blackbox", **args, input_blur=sigma).eval() for sigma in (1.0, 0.0))
    plain.load_state_dict(model.state_dict())  # a filter has no state
    x = torch.randn(2, 3, 64, 64)
    assert float((model(x) - plain(x)).abs().max()) > 1e-3
    torch.testing.assert_close(model(x), plain(GaussianBlur(1.0)(x)))
