import pytest
import torch

from zoo.data.images._augment import augment, policy

SIZE = 64


def dot(point, size=SIZE):
    """A bright disc of radius 4 around a continuous coordinate, smooth at its rim."""
    at = torch.arange(size) + 0.5
    far = ((at[None, :] - point[0]) ** 2 + (at[:, None] - point[1]) ** 2).sqrt()
    return ((4.5 - far).clamp(0, 1) * 200).round().to(torch.uint8)[None].repeat(3, 1, 1)


@pytest.mark.parametrize("name", ["shift", "flip", "full"])
def test_a_dot_and_its_keypoint_move_together(name):
    transform, moved = policy(name, SIZE), 0
    for i in range(20):
        point = torch.rand(1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(i)) * 28 + 18
        image, where = augment(transform, dot(point[0]), point, key=(0, 0, i))
        empty, _ = augment(transform, torch.zeros(3, SIZE, SIZE, dtype=torch.uint8), point, key=(0, 0, i))
        difference = (image.double() - empty.double()).abs().sum(0)
        difference = difference * (difference > 0.4 * difference.max())
        at = torch.arange(SIZE) + 0.5
        center = torch.stack([(difference.sum(0) * at).sum(), (difference.sum(1) * at).sum()]) / difference.sum()
        inside = bool(((where[0] > 6) & (where[0] < SIZE - 6)).all())
        if inside:
            assert torch.allclose(center, where[0], atol=0.25), (i, center, where)
            moved += not torch.allclose(where, point, atol=1)
        assert where.dtype == torch.float64
        assert image.shape == (3, SIZE, SIZE)
        assert image.dtype == torch.uint8
    assert moved > 10


def test_mirror_is_exact_to_the_pixel():
    image = torch.zeros(3, 9, 9, dtype=torch.uint8)
    image[:, 4, 2] = 255
    mirror = policy("flip", 9).transforms[0]
    mirror.p = 1.0
    out, where = augment(mirror, image, torch.tensor([[2.0, 4.0], [2.75, 4.5]], dtype=torch.float64), key=(0,))
    assert where.tolist() == [[7.0, 4.0], [6.25, 4.5]]
    assert out[0, int(where[1, 1]), int(where[1, 0])] == 255


@pytest.mark.parametrize("name", ["shift", "flip", "full"])
def test_points_leave_the_image_unclamped(name):
    corners = torch.tensor([[0.0, 0.0], [SIZE, 0.0], [0.0, SIZE], [SIZE, SIZE]], dtype=torch.float64)
    out = [augment(policy(name, SIZE), dot((9, 9)), corners, key=(1, i))[1] for i in range(20)]
    out = torch.stack(out)
    assert (out < 0).any()
    assert (out > SIZE).any()


@pytest.mark.parametrize("name", ["shift", "flip", "full"])
def test_key_decides_and_global_state_stays(name):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    image = torch.randint(0, 255, (3, SIZE, SIZE), generator=torch.Generator().manual_seed(0)).byte()
    a, _ = augment(policy(name, SIZE), image, None, key=(0, 1, 2))
    b, _ = augment(policy(name, SIZE), image, None, key=(0, 1, 2))
    c, _ = augment(policy(name, SIZE), image, None, key=(0, 2, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    gray, none = augment(policy(name, SIZE), image[:1], None, key=(0, 1, 2))
    assert gray.shape == (1, SIZE, SIZE)
    assert none is None


def test_unknown_policy():
    with pytest.raises(ValueError, match="augment is 'fulll'; expected one of none, shift, flip, full"):
        policy("fulll", 8)
    assert policy("none", 8) is None
