"""A view of a model that shares one pass over its backbone among all scores of a batch."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

from torch import Tensor

from zoo.capabilities import HasFeatures, capability
from zoo.model import SelfExplaining


class SharedPass:
    """A view of a model that computes ``encode`` and ``features`` once per tensor.

    The view has the model's own state and methods, so an explanation, an intervention and the features of one batch
    cost one pass over its backbone. It remembers the last input only, by identity. The model itself is not changed; a
    deep copy of the view is a copy of the model.

    Example:
        >>> import torch
        >>> import zoo
        >>> model = zoo.create_model("bilinear_mlp", num_classes=2, input_shape=[4], width=8).eval()
        >>> x = torch.ones(1, 4)
        >>> shared = SharedPass.of(model)
        >>> shared.encode(x) is shared.encode(x), model.encode(x) is model.encode(x)
        (True, False)
    """

    __slots__ = ("_memory", "_model")
    _memory: dict[str, tuple[Tensor, Any]]
    _model: Any

    @staticmethod
    def of(model: Any) -> Any:
        """Return a view of a model; a view, and what is not a ``SelfExplaining`` model, as it is."""
        if isinstance(model, SharedPass) or not isinstance(model, SelfExplaining):
            return model
        methods = ("encode",) if capability(model, HasFeatures) is None else ("encode", "features")
        view = object.__new__(_view_class(type(model), methods))
        object.__setattr__(view, "__dict__", model.__dict__)
        object.__setattr__(view, "_memory", {})
        object.__setattr__(view, "_model", model)
        return view

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self._model, memo)


@lru_cache(maxsize=64)
def _view_class(cls: type, names: tuple[str, ...]) -> type:
    methods = {name: _remembering(cls, name) for name in names}
    return type(cls.__name__, (SharedPass, cls), {"__slots__": (), "__module__": cls.__module__, **methods})


def _remembering(cls: type, name: str) -> Any:
    method = getattr(cls, name)

    def answer(self: Any, x: Tensor) -> Any:
        last = self._memory.get(name)
        if last is None or last[0] is not x:
            last = self._memory[name] = (x, method(self, x))
        return last[1]

    return answer
