"""The policies one image at a time with torchvision's random transforms: slow, the distribution that batches have."""

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

BILINEAR = v2.InterpolationMode.BILINEAR


class Flip(v2.RandomHorizontalFlip):
    """A flip that maps a continuous x to s - x; torchvision's maps it to s - 1 - x."""

    def transform(self, inpt, params):
        out = super().transform(inpt, params)
        if isinstance(out, tv_tensors.KeyPoints):
            out = tv_tensors.wrap(out.as_subclass(torch.Tensor) + torch.tensor([1.0, 0.0], dtype=out.dtype), like=out)
        return out


def transforms(name, size):
    color = v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2)
    if name == "shift":
        return [v2.RandomAffine([-10, 10], translate=(0.08, 0.08), scale=(0.9, 1.1), interpolation=BILINEAR)]
    if name == "flip":
        return [Flip(), v2.RandomResizedCrop(size, scale=(0.7, 1.0), ratio=(0.85, 1.18), antialias=True), color]
    affine = v2.RandomAffine([-15, 15], shear=10, interpolation=BILINEAR, fill=128)
    return [Flip(), affine, v2.RandomPerspective(0.2, interpolation=BILINEAR, fill=128), color]


def augment(transform, image, points, seed):
    """Image ``(c, s, s)`` and points ``(p, 2)``, transformed with random numbers of a seed."""
    size = (image.shape[-2], image.shape[-1])
    sample = {"image": tv_tensors.Image(image), "points": tv_tensors.KeyPoints(points, canvas_size=size)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sample = transform(sample)
    return sample["image"].as_subclass(torch.Tensor), sample["points"].as_subclass(torch.Tensor)
