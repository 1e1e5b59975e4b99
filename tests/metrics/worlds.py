"""Small worlds of maps, keypoints and labels that the tests share."""

import torch

from zoo.batch import Batch
from zoo.explanation import Explanation, Units, gather


def maps(kind, shape, seed=0):
    """Evidence of a given character, float32."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(shape, generator=g)
    if kind == "constant":
        return x[..., :1, :1].expand(shape).contiguous()
    if kind == "levels":
        return 0.3 + 0.1 * (3 * x).floor()
    if kind == "integers":
        return (3 * x).floor()
    if kind == "peaks":
        return torch.where(
            x > x.flatten(-2).kthvalue(max(1, shape[-1] * shape[-2] - 3)).values[..., None, None], 1.7, x * 0.9
        )
    if kind == "plateau":
        return x.clamp_max(0.6)
    if kind == "mirrored":
        return (x + x.flip(-1)) / 2
    return x


def keypoints(b, p, side, seed=0):
    """Keypoints of which some lie outside the image and some exactly on its border, and who is visible."""
    g = torch.Generator().manual_seed(seed + 1)
    points = (torch.rand(b, p, 2, generator=g, dtype=torch.float64) * 1.3 - 0.15) * side
    points[:, 0, 0] = side
    points[:, 1] = torch.tensor([-0.6, 0.4], dtype=torch.float64)
    return points, torch.rand(b, p, generator=g) > 0.3


def own_class(world, labels, owner):
    """``(b, k)`` ids of the units of each label."""
    units = Units("prototype", [str(i) for i in range(len(owner))], torch.tensor(owner))
    shown = units.of_class(labels)
    return shown, gather(world, shown)


class Toy(torch.nn.Module):
    """A model whose prototypes look at weighted brightness, with a layer that would drift in train mode."""

    def __init__(self, owner=(0, 0, 1, 1, 1, 2), place=True, owned=True):
        super().__init__()
        self.owner = torch.tensor(owner)
        kinds = Units("prototype", [f"p{i}" for i in range(len(owner))], self.owner if owned else None)
        self.units, self.place = kinds, place
        self.norm = torch.nn.BatchNorm2d(3)
        self.weight = torch.nn.Parameter(torch.linspace(-1, 1, 3 * len(owner)).reshape(len(owner), 3))
        self.calls = 0

    def explain(self, x, target=None, shown=10):
        self.calls += 1
        where = torch.einsum("bchw,uc->buhw", self.norm(x.to(self.weight.dtype))[:, :, ::8, ::8], self.weight)
        strength = where.flatten(2).amax(2)
        logits = torch.stack([strength[:, self.owner == c].sum(1) for c in range(int(self.owner.max()) + 1)], 1)
        contribution = strength * (self.owner[None] == target[:, None])
        if isinstance(shown, int):
            shown = contribution.argsort(dim=1, descending=True)[:, :shown]
        place = gather(where, shown) if self.place else None
        base = torch.zeros(len(x), dtype=logits.dtype)
        return Explanation(self.units, logits, target, strength, contribution, base, shown, place)


def batch(b=13, p=5, side=32, seed=0, classes=3):
    """Random images with keypoints."""
    g = torch.Generator().manual_seed(seed)
    points, visible = keypoints(b, p, side, seed)
    y = torch.randint(0, classes, (b,), generator=g)
    return Batch(torch.randn(b, 3, side, side, generator=g), y, 100 + torch.arange(b), points=points, visible=visible)


def take(samples, rows):
    """Some rows of a batch, in the order asked."""
    names = ("x", "y", "index", "points", "visible")
    return Batch(**{name: getattr(samples, name)[rows] for name in names})
