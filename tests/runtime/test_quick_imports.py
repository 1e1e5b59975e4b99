"""Lightning and timm are imported without what they hardly ever use, and all of it is there when it is used."""

import subprocess
import sys

import pytest

from zoo import paths
from zoo.runtime import quick_imports

HEAVY = ("scipy.signal", "torch._dynamo", "torchvision.models.resnet", "sympy")
USE = """
import sys, zoo
import pytorch_lightning, timm, torch
loaded = [name for name in HEAVY if name in sys.modules]
assert loaded in ([], ["torchvision.models.resnet"]), loaded  # timm imports the models
zoo.load("bilinear_mlp-digits")
assert "torch._dynamo" not in sys.modules, "the bound on memory imports the compiler"

import scipy
assert scipy.signal.lfilter([1.0], [1.0], [2.0])[0] == 2
from torchmetrics.functional.image.arniqa import resnet50, transforms
from torchmetrics.functional.image.dists import VGG16_Weights
assert resnet50(num_classes=3).fc.out_features == 3
assert transforms.Normalize([0.5], [0.5])(torch.ones(1, 2, 2)).max() == 1
assert VGG16_Weights.DEFAULT.url

from torchvision.ops import roi_align
x = torch.rand(1, 3, 8, 8)
assert roi_align(x, [torch.tensor([[0.0, 0.0, 4.0, 4.0]])], 2).shape == (1, 3, 2, 2)
from lightning_fabric.wrappers import OptimizedModule
net = torch.nn.Linear(3, 2)
assert not isinstance(net, OptimizedModule)
compiled = torch.compile(net, backend="eager")
assert isinstance(compiled, OptimizedModule)
assert torch.equal(compiled(x[0, 0, :, :3]), net(x[0, 0, :, :3]))
import torch._dynamo, torchvision
assert torch._dynamo.__spec__ is not None and torch._dynamo.OptimizedModule is not OptimizedModule
assert torchvision.models.resnet18 and "scipy.signal" in sys.modules
"""


def run(code):
    env = {"PYTHONPATH": str(paths.PACKAGE.parent), "PATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=240)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_real_modules_are_imported_when_they_are_used():
    run(f"HEAVY = {HEAVY}\n{USE}")


@pytest.mark.slow
def test_a_version_that_asks_for_more_is_imported_as_usual(tmp_path):
    """Another torchmetrics, which wants a part of torchvision that the stand-in does not have."""
    package = tmp_path / "torchmetrics"
    package.mkdir()
    (package / "__init__.py").write_text("from torchmetrics import part\nvalue = part.value\n")
    (package / "part.py").write_text("import torchvision.ops\nvalue = torchvision.ops.__name__\n")
    code = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport zoo, torchmetrics, torchvision\n"
    run(code + "assert torchmetrics.value == 'torchvision.ops' and torchvision.__version__")


def test_packages_of_texts_wait_and_may_ask_for_torchvision(tmp_path):
    """``transformers`` asks at import whether torchvision is there; torchmetrics imports it where it is installed."""
    for name, lines in (
        (
            "transformers",
            "from importlib.util import find_spec\nassert find_spec('torchvision').loader\nAutoModel = 3\n",
        ),
        ("torchmetrics", "from transformers import AutoModel\n"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(lines)
    code = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport zoo, torchmetrics\n"
    code += "assert 'transformers' not in sys.modules and torchmetrics.AutoModel._real() == 3\n"
    asks = tmp_path / "asks" / "torchmetrics"
    asks.mkdir(parents=True)
    (asks / "__init__.py").write_text("from importlib.util import find_spec\nassert find_spec('torchvision')\n")
    run(code)
    run(f"import sys\nsys.path.insert(0, {str(asks.parent)!r})\nimport zoo, torchmetrics\n")


def test_installed_once():
    quick_imports.install()
    assert sum(isinstance(finder, quick_imports._Finder) for finder in sys.meta_path) == 1
