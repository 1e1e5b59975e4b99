"""``check_model``: whether a model keeps the promises of ``SelfExplaining``; for zoo's own models and for plug-ins."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor, nn

from zoo.capabilities import HasAffineHead, HasFeatureTables, capability
from zoo.explanation import Explanation
from zoo.model import SelfExplaining

SHOWN = 10  # units shown where nothing else is asked for


def check_model(model: SelfExplaining, x: Tensor, target: Tensor) -> None:
    """Check that a model keeps the promises of ``SelfExplaining``; c classes, u units.

    Args:
        model: in eval mode, on the CPU, best with weights that differ from the initial ones.
        x: b inputs ``(b, ...)``, two or more.
        target: a class for each ``(b,)`` int64.

    Raises:
        AssertionError: the first promise that is broken.
        ValueError: if the model is in training mode, or there are fewer than two inputs.

    Example:
        >>> import torch, zoo
        >>> model = zoo.create_model("blackbox", num_classes=2, backbone="mlp", input_shape=[4]).eval()
        >>> check_model(model, torch.randn(3, 4), torch.tensor([0, 1, 0]))
    """
    if model.training:
        raise ValueError("the model is in training mode; call model.eval() first")
    if len(x) < 2 or len(target) != len(x):
        raise ValueError(f"x has {len(x)} inputs and target {len(target)}; expected two or more, and as many of each")
    for check in CHECKS:
        check(model, x, target)


@torch.no_grad()
def explains_the_forward_pass(model: SelfExplaining, x: Tensor, target: Tensor) -> None:
    """Check that ``explain(x).logits`` is ``forward(x)``, and the class explained the predicted one."""
    explanation = model.explain(x)
    torch.testing.assert_close(explanation.logits, model(x), rtol=0, atol=0, msg="explain(x).logits is not forward(x)")
    assert torch.equal(explanation.target, explanation.logits.argmax(1)), "explain(x) explains another class"


@torch.no_grad()
def explains_the_target(model: SelfExplaining, x: Tensor, target: Tensor) -> None:
    """Check that the class asked for is the one explained, and that a wrong target is refused."""
    explanation = model.explain(x, target=target)
    assert torch.equal(explanation.target, target), "explain(x, target=y) explains another class"
    classes = explanation.logits.shape[1]
    for wrong in (target[:-1], torch.full_like(target, classes), torch.full_like(target, -1), target.float()):
        _refuses(lambda wrong=wrong: model.explain(x, target=wrong), f"target {wrong.tolist()}")


@torch.no_grad()
def contributions_add_up(model: SelfExplaining, x: Tensor, target: Tensor) -> None:
    """Check that exact contributions and the base sum to the logit, in float32 and in float64."""
    for explanation in (model.explain(x), model.explain(x, target=target)):
        _adds_up(explanation, relative=1e-5)
    wide = copy.deepcopy(model).double()
    explanation = wide.explain(_as_float64(x), target=target)
    assert explanation.logits.dtype == torch.float64, "a float64 model has logits of another type"
    _adds_up(explanation, relative=1e-10)


@torch.no_grad()
def contrasts_classes(model: SelfExplaining, x: Tensor, target: Tensor) -> None:
    """Check that exact contrasts of two classes sum to the difference of their logits, in float64."""
    wide = copy.deepcopy(model).double()
    x = _as_float64(x)
    for contrast in (wide.contrast(x), wide.contrast(x, (target + 1) % wide.task.outputs, target)):
        assert not bool((contrast.target == contrast.against).any()), "a class is compared with itself"
        if contrast.is_exact:
            total = contrast.contribution.sum(1) + contrast.base
            torch.testing.assert_close(total, contrast.difference, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def is_deterministic(model: SelfExplaining, x: Tensor, target: Tensor) -> None:
    """Check that evaluation gives the same twice and changes no state."""
    state = {key: value.clone() for key, value in model.state_dict().items()}
    first, second = model.explain(x), model.explain(x)
    if len(model.units):
        model.intervene(x, {0: 0.5})
    model(x)
    for name, value in _tensors(first).items():
        assert torch.equal(value, getattr(second, name)), f"{name} differs between two calls"
    changed = [key for key, value in model.state_dict().items() if not torch.equal(value, state[key])]
    assert not changed, f"evaluation changes {changed[0]}"


@torch.no_grad()
def is_independent_of_the_batch(model: SelfExplaining, x: Tensor, target: Tensor) -> None:
    """Check that the explanation of an input does not depend on the rest of the batch, in float64."""
    wide = copy.deepcopy(model).double()
    x = _as_float64(x)
    together = wide.explain(x, target=target)
    alone = [wide.explain(x[i : i + 1], target=target[i : i + 1]) for i in range(len(x))]
    order = torch.arange(len(x)).roll(1)
    reordered = wide.explain(x[order], target=target[order])
    for name, value in _tensors(together).items():
        single = torch.cat([getattr(explanation, name) for explanation in alone])
        torch.testing.assert_close(single, value, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(getattr(reordered, name), value[order], rtol=1e-9, atol=1e-9)


@torch.no_grad()
def shows_what_is_asked(model: SelfExplaining, x: Tensor, target: Tensor) -> None:
    """Check shapes, and that the units shown are those asked for; wrong ids and shapes are refused."""
    explanation = model.explain(x)
    b, u = len(x), len(model.units)
    k = min(SHOWN, u)
    assert explanation.logits.shape[0] == b
    assert explanation.strength.shape == explanation.contribution.shape == (b, u)
    assert explanation.shown.shape == (b, k)
    assert explanation.where is None or explanation.where.shape[:2] == (b, k)
    assert model.explain(x, shown=2).shown.shape == (b, min(2, u))
    if u < 2:
        return
    ids = torch.tensor([[1, -1]]).repeat(b, 1)
    asked = model.explain(x, shown=ids)
    assert torch.equal(asked.shown, ids), "other units are shown than those asked for"
    full = model.explain(x, shown=u)
    if asked.where is not None and full.where is not None:
        assert not asked.where[:, 1].any(), "there is evidence for the empty slot -1"
        assert torch.equal(asked.where[:, 0], full.where[full.shown == 1]), "evidence depends on what is shown"
    for wrong in (torch.full((b, 1), u), ids[:-1]):
        _refuses(lambda wrong=wrong: model.explain(x, shown=wrong), f"shown {wrong.tolist()}")


@torch.no_grad()
def can_be_intervened_on(model: SelfExplaining, x: Tensor, target: Tensor) -> None:
    """Check ``intervene`` against ``decide``, and that setting units to their own strengths changes nothing."""
    b, u = len(x), len(model.units)
    for unit in (u, -1):
        _refuses(lambda unit=unit: model.intervene(x, {unit: 1.0}), f"unit {unit}")
    logits = model(x)
    torch.testing.assert_close(model.intervene(x, {}), logits, rtol=0, atol=0)
    if not u:
        return
    explanation = model.explain(x)
    mask = torch.rand(2, b, u, generator=torch.Generator().manual_seed(0)) < 0.5
    value = explanation.strength.flip(0)
    decided = model.decide(model.encode(x), mask, value.expand(2, -1, -1))
    assert decided.shape == (2, b, logits.shape[1]), "decide does not keep the leading dimensions of its mask"
    torch.testing.assert_close(model.intervene(x, value, mask[0]), decided[0], rtol=1e-5, atol=1e-5)
    for i in range(b):
        rows = {j: float(value[i, j]) for j in mask[1, i].nonzero()[:, 0].tolist()}
        torch.testing.assert_close(model.intervene(x[i : i + 1], rows)[0], decided[1, i], rtol=1e-4, atol=1e-4)
        own = model.explain(x[i : i + 1])
        same = {unit: float(own.strength[0, unit]) for unit in explanation.shown[i].tolist()}
        torch.testing.assert_close(model.intervene(x[i : i + 1], same), own.logits, rtol=1e-6, atol=1e-6)
    _refuses(lambda: model.intervene(x, value, mask[0].float()), "a mask that is not bool")
    _refuses(lambda: model.intervene(x, {0: 1.0}, mask[0]), "a mask beside a mapping")


@torch.no_grad()
def hands_over_its_head(model: SelfExplaining, x: Tensor, target: Tensor) -> None:
    """Check that a head that is handed over as numbers gives the answers of the model, in float64."""
    wide = copy.deepcopy(model).double()
    x = _as_float64(x)
    if (tables := capability(wide, HasFeatureTables)) is not None:
        logits = torch.from_numpy(tables.feature_tables().logits(x.flatten(1).numpy()))
        torch.testing.assert_close(logits, wide(x), rtol=1e-9, atol=1e-9)
    if (affine := capability(wide, HasAffineHead)) is None:
        return
    explanation, head = wide.explain(x, target=target), affine.affine_head(x)
    own = head.contributions(explanation.strength)
    at_target = own[torch.arange(len(x)), target]
    torch.testing.assert_close(at_target, explanation.contribution, rtol=1e-8, atol=1e-8)
    mask = torch.rand(explanation.strength.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    for value in (explanation.strength.flip(0), head.neutral.expand_as(explanation.strength)):
        changed = head.contributions(torch.where(mask, value, explanation.strength))
        logits = explanation.logits + (changed - own).sum(2)
        torch.testing.assert_close(logits, wide.intervene(x, value, mask), rtol=1e-8, atol=1e-8)


def parts_own_all_parameters(model: SelfExplaining, x: Tensor, target: Tensor) -> None:
    """Check that every parameter belongs to exactly one of ``trainable_parts``."""
    parts = model.trainable_parts()
    owned = [
        id(parameter)
        for part in parts.values()
        for parameter in ([part] if isinstance(part, nn.Parameter) else part.parameters())
    ]
    assert sorted(owned) == sorted(id(p) for p in model.parameters()), "parts do not hold each parameter exactly once"
    unknown = {model.part_of(key) for key in model.state_dict()} - {*parts}
    assert not unknown, f"part_of names {sorted(unknown)}, which is no trainable part"


CHECKS: tuple[Callable[[SelfExplaining, Tensor, Tensor], None], ...] = (
    explains_the_forward_pass,
    explains_the_target,
    contributions_add_up,
    contrasts_classes,
    is_deterministic,
    is_independent_of_the_batch,
    shows_what_is_asked,
    can_be_intervened_on,
    hands_over_its_head,
    parts_own_all_parameters,
)


def _refuses(call: Callable[[], object], what: str) -> None:
    """Fail unless a call raises a ValueError."""
    with suppress(ValueError):
        call()
        raise AssertionError(f"the model accepts {what}; expected a ValueError")


def _adds_up(explanation: Explanation, *, relative: float) -> None:
    if explanation.method != "exact":
        return
    logit = explanation.logits.gather(1, explanation.target[:, None])[:, 0]
    total = explanation.contribution.sum(1) + explanation.base
    scale = (explanation.contribution.abs().sum(1) + explanation.base.abs()).clamp_min(1e-3)
    error = float(((total - logit).abs() / scale).max())
    assert error <= relative, f"exact contributions and base miss the logit by {error:.1e} of their size"


def _as_float64(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x


def _tensors(explanation: Explanation) -> dict[str, Tensor]:
    return {name: value for name, value in vars(explanation).items() if isinstance(value, Tensor)}
