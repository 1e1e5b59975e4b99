"""Import Lightning and timm without the large packages that they import and hardly ever use.

``import pytorch_lightning`` imports the compiler of torch, for one ``isinstance``, and torchmetrics, which imports
``scipy.signal`` for a patch, the models of torchvision for metrics of image quality, and, where it is installed,
``transformers`` for metrics of texts, which in turn asks for torchvision while only a stand-in is there; torchvision
and timm import the compiler for one question. That was more than half of the time that a command takes to start. Here
these modules get stand-ins while the packages are imported; the real module is imported when one of its names is used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

LIGHTNING = ("torchmetrics", "lightning_fabric", "pytorch_lightning")
PACKAGES = (*LIGHTNING, "torchvision", "timm")


class _Later:
    """A name of a module that is imported when it is used."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def _real(self) -> Any:
        return getattr(import_module(self._module), self._name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def __call__(self, *args: Any, **keys: Any) -> Any:
        return self._real()(*args, **keys)


class _StandIn(ModuleType):
    """A module whose names are all there, for later."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Later(self.__name__, name)


class _Compiled(type):
    """The class of compiled modules: nothing is one of them before the compiler is imported."""

    def __instancecheck__(cls, instance: Any) -> bool:
        compiler = sys.modules.get("torch._dynamo")
        return compiler is not None and isinstance(instance, compiler.OptimizedModule)


class _Compiler(ModuleType):
    """The compiler of torch, which is imported as soon as anything but the two names that Lightning needs is used."""

    OptimizedModule = _Compiled("OptimizedModule", (), {})

    @staticmethod
    def disable(function: Callable[..., Any], recursive: bool = True, **options: Any) -> Callable[..., Any]:
        """Decorate a function that shall not be compiled: as it is until the compiler is imported."""
        disabled: list[Callable[..., Any]] = []

        @wraps(function)
        def run(*args: Any, **keys: Any) -> Any:
            compiler = sys.modules.get("torch._dynamo")
            if compiler is None or isinstance(compiler, _Compiler):
                return function(*args, **keys)
            if not disabled:
                disabled.append(compiler.disable(function, recursive, **options))
            return disabled[0](*args, **keys)

        return run

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _remove({self.__name__: self})
        return getattr(import_module(self.__name__), name)


class _CompilerUtils(_Compiler):
    """A part of the compiler, of which torchvision imports one function."""

    is_compile_supported = _Later("torch._dynamo.utils", "is_compile_supported")


class _Loader:
    """Runs the loader of a package while the stand-ins are there."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._own
        import_module("torch")
        before = set(sys.modules)
        try:
            with _stand_ins(module.__name__):
                self._own.exec_module(module)
        except ImportError:  # another version that asks for more: as usual, then
            for name in set(sys.modules) - before:
                if name.partition(".")[0] in PACKAGES:
                    del sys.modules[name]
            self._own.exec_module(module)


class _Finder:
    """Finds the packages as the other finders do, with a loader that is quick."""

    def __init__(self) -> None:
        self._asking = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in PACKAGES or self._asking:
            return None
        self._asking = True
        try:
            spec = find_spec(name)
        finally:
            self._asking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # pyright: ignore[reportAttributeAccessIssue]
        return spec


def install() -> None:
    """Make the packages that are imported from now on quick to import.

    Example:
        >>> import pytorch_lightning
        >>> isinstance(pytorch_lightning, ModuleType)
        True
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


@contextmanager
def _stand_ins(package: str) -> Iterator[None]:
    """Put stand-ins where ``import`` finds them, unless the real modules are there."""
    modules: list[ModuleType] = []
    if package in LIGHTNING and "scipy.signal" not in sys.modules:
        modules.append(_StandIn("scipy.signal"))
        import_module("scipy").__dict__["signal"] = modules[0]  # as the import of a submodule does
    if package in LIGHTNING and "torchvision" not in sys.modules:
        vision, models = _StandIn("torchvision"), _StandIn("torchvision.models")
        vision.__dict__.update(__path__=[], models=models)
        modules += [vision, models]
    if package in LIGHTNING and "transformers" not in sys.modules and find_spec("transformers") is not None:
        modules.append(_StandIn("transformers"))
        modules[-1].__dict__["__path__"] = []
    if "torch._dynamo" not in sys.modules:
        modules += [_Compiler("torch._dynamo"), _CompilerUtils("torch._dynamo.utils")]
    put = {module.__name__: module for module in modules}
    for name, module in put.items():  # so that a package can ask whether it is there
        module.__spec__ = ModuleSpec(name, None)
    sys.modules.update(put)
    try:
        yield
    finally:
        _remove(put)


def _remove(put: dict[str, ModuleType]) -> None:
    for name, module in put.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]
        package, _, own = name.rpartition(".")
        if package and getattr(sys.modules.get(package), "__dict__", {}).get(own) is module:
            del sys.modules[package].__dict__[own]
