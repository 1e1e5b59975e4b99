"""Codebook transformer: a small language model with a codebook bottleneck at its heads or MLPs.

Source: Tamkin, Taufeeque, Goodman, Codebook features: sparse and discrete interpretability for neural networks, 2023.

At named places of every block, the activation is replaced by the mean of the k best codes of a learned list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.editing.operation import Operation
from zoo.explanation import Explanation, Units
from zoo.layers.codebook.bottleneck import Quantized, committed, matched
from zoo.layers.codebook.override import CodeOverride
from zoo.layers.codebook.reset import DeadCodeReset
from zoo.layers.codebook.sites import CodeRecorder, Note, SiteCodebooks
from zoo.layers.transformer.block import Activation, Visit
from zoo.layers.transformer.contexts import following
from zoo.layers.transformer.language_model import LanguageModelBase
from zoo.registry import register

DESCRIBE = (
    "This model describes every activation with entries of one fixed list, called codes. The strength of a code is 1 if"
    " it is selected and 0 if not. Every selected code adds to the score of a class or subtracts from it."
    " L1.H2.17 is code 17 of head 2 in layer 1, L1.M.17 code 17 behind the MLP of layer 1; all are counted from 0."
)


@register
class CodebookTransformer(LanguageModelBase):
    """A decoder-only language model with codebooks; its units are codes.

    ``L1.H2.17`` is a code of a head, ``L1.A.17`` of the sum of heads, ``L1.M.17`` of an MLP. A code's strength is 1 if
    it is selected at the last position, else 0; its contribution is the direct effect of its share 1/k on the logit,
    exact; ``where`` has the positions that selected it. Setting a strength replaces the code's weight in the sum at the
    last position, and the later layers follow it.

    Args:
        hidden: hidden units of each MLP; 0 for 4 widths (8/3 with swiglu).
        mlp: activation of the MLPs.
        sites: where the codebooks are: ``mix`` (one for each head), ``attention``, ``mlp``; None for ``mix``.
        codes: of each codebook.
        k: codes selected by each codebook at each position.
        revive: steps after which codes that were not selected are reset; 0 for never.
        sizes: the arguments of ``zoo.layers.transformer.language_model.LanguageModelBase``.

    Example:
        >>> import torch, zoo
        >>> model = zoo.create_model(
        ...     "codebook_transformer", num_classes=9, input_shape=[6], width=8, depth=1, heads=2, codes=5
        ... ).eval()
        >>> model.chosen(torch.tensor([[1, 2, 3]])).shape  # one code of each head at each position
        torch.Size([1, 3, 2])
    """

    terms = ("task", "match", "commit")

    def __init__(
        self,
        *,
        hidden: int = 0,
        mlp: Activation = "gelu",
        sites: list[Literal["mix", "attention", "mlp"]] | None = None,
        codes: int = 1000,
        k: int = 1,
        revive: int = 0,
        **sizes: Any,
    ) -> None:
        super().__init__(**sizes)
        if revive < 0:
            raise ValueError(f"revive is {revive}; expected a number of steps, or 0 for never")
        self.build_decoder(
            hidden=hidden,
            activation=mlp,
        )
        places = ["mix"] if sites is None else sites
        streams = {name: self.hparams[name] for name in ("depth", "heads", "width")}
        self.codebooks = SiteCodebooks(places, **streams, codes=codes, k=k)
        self.k = k
        self.revive = revive
        self._units = Units("code", self.codebooks.names, describe=DESCRIBE, binary=True)

    @property
    def units(self) -> Units:
        """Codes, named by layer, head or site, and number."""
        return self._units

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``embed``, ``blocks``, ``norm``, ``head``, ``codebooks``."""
        return super().trainable_parts() | {"codebooks": self.codebooks}

    def configure_callbacks(self) -> list[DeadCodeReset]:
        """Reset dead codes, if ``revive`` is set and the codebooks are trained."""
        return [DeadCodeReset(self.revive)] if self.revive and "codebooks" in self.phase.lr else []

    # The forward pass.

    @property
    def transform(self) -> Visit:
        """The visit that replaces values by their codes; those that edits hold off are left out of the sums."""
        return self._visit()

    def _visit(self, note: Note | None = None) -> Visit:
        """The visit of every pass, with ``note`` as in ``SiteCodebooks.visit``."""
        held = self.held
        off = CodeOverride(dict.fromkeys(held, 0.0), codes=self.hparams["codes"], k=self.k) if held else None
        return self.codebooks.visit(note, off)

    def edit_operations(self) -> dict[str, Operation]:
        """Return ``hold``, which leaves a code out of the sums of every pass; tensors stay as they are."""
        return {"hold": Operation(lambda state, unit: state.hold(unit), "hold it off: it adds 0 in every later pass")}

    def setting(self, mask: Tensor, value: Tensor) -> Visit:
        """Return the visit with the weights of codes set to ``value`` ``(n, b, u)`` where ``mask`` is true."""
        if self.held:
            off = torch.zeros(mask.shape[-1], dtype=torch.bool, device=mask.device)
            off[self.held] = True
            value, mask = value.masked_fill(off, 0.0), mask | off

        def change(first: int, quantized: Quantized, codes: Tensor) -> Tensor:
            groups, count, _ = codes.shape
            own = slice(first, first + groups * count)
            weight = torch.zeros(*quantized.ids.shape[:-1], count, dtype=value.dtype, device=value.device)
            weight = weight.scatter(-1, quantized.ids, 1).flatten(-2)
            difference = torch.where(mask[..., own], value[..., own] - weight, 0).unflatten(-1, (groups, count))
            return quantized.value + torch.einsum("nbgc,gce->nbge", difference, codes) / self.k

        return self.codebooks.visit(change=change)

    def holding(self, states: Mapping[int, float]) -> Visit:
        """Return the visit with codes forced on or off at every position of the pass, see ``CodeOverride``.

        Args:
            states: 1 or 0 (True or False) by unit id.

        Raises:
            ValueError: if an id is not in the vocabulary.
        """
        self.check_values(states)
        states = {**states, **dict.fromkeys(self.held, 0.0)}
        return self.codebooks.visit(change=CodeOverride(states, codes=self.hparams["codes"], k=self.k))

    def steer(self, x: Tensor, new: int, strengths: Mapping[int, float], **options: Any) -> Tensor:
        """Return ``generate(x, new, **options)`` with codes on or off from the last position of the context on.

        Args:
            x: ``(b, t)`` contexts.
            new: number of tokens to draw.
            strengths: as ``states`` of ``holding``.
            options: of ``generate``.

        Raises:
            ValueError: as for ``holding`` and ``generate``.
        """
        return self.generate(x, new, visit=self.holding(strengths), **options)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: cross-entropy; ``match`` moves codes to the activations, ``commit`` activations to the codes."""
        outputs: list[Quantized] = []
        y = following(batch.x, batch.targets)
        real = batch.x >= 0

        def note(layer: int, place: str, quantized: Quantized) -> None:
            outputs.append(quantized)
            self.codebooks.at(layer, place).note(quantized, real)

        logits = self.decoder(batch.x.clamp_min(0), self.codebooks.visit(note))
        terms = {"task": F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=-1)}
        for name, distance in (("match", matched), ("commit", committed)):
            if weights.get(name, 0):
                terms[name] = torch.stack([distance(quantized, real) for quantized in outputs]).mean()
        return terms

    @torch.no_grad()
    def start_codes(self, loader: Iterable[Batch], batches: int = 4, rounds: int = 10) -> dict[str, float]:
        """Initialize every codebook by k-means of the activations at its place, in the order of the forward pass.

        Args:
            loader: of the training split.
            batches: number of batches to use.
            rounds: of k-means.
        """
        self.eval()
        x = [batch.x.to(self.device) for batch, _ in zip(loader, range(batches), strict=False)]
        for layer, place in self.codebooks.first:
            activations = self._activations_at(x, layer, place)
            vectors = torch.cat([v[tokens >= 0] for v, tokens in zip(activations, x, strict=True)])
            codebook = self.codebooks.at(layer, place)
            codebook.fit(vectors if place == "mix" else vectors[:, None], rounds=rounds)
        return {}

    def _activations_at(self, batches: list[Tensor], layer: int, place: str) -> list[Tensor]:
        """Values at a place before quantization, for batches ``(b, t)`` of contexts."""
        values: list[Tensor] = []
        quantize = self.transform

        def visit(i: int, p: str, value: Tensor) -> Tensor:
            if (i, p) != (layer, place):
                return quantize(i, p, value)
            values.append(value)
            return value

        for x in batches:
            self.decoder.run(x.clamp_min(0), visit)
        return values

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return super().capabilities | {"chosen_codes", "editable"}

    def chosen(self, x: Tensor) -> Tensor:
        """Return the unit ids ``(b, t, n)`` of all selected codes at every position of contexts ``(b, t)``."""
        recorder = CodeRecorder(self.codebooks)
        self.begin_at(x, self._visit(recorder))
        return recorder.ids()

    def activity(self, x: Tensor, units: Tensor | None = None) -> Tensor:
        """Return strengths ``(b, t, n)`` of units ``(n,)`` (None: all u) at every position of contexts ``(b, t)``."""
        on = self.chosen(x)
        if units is None:
            return torch.zeros(*on.shape[:2], len(self.units), device=x.device).scatter(2, on, 1)
        return (on[:, :, :, None] == units).any(2).float()

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by the direct effects of selected codes on the logit, exact."""
        all_positions = CodeRecorder(self.codebooks)
        last_position = CodeRecorder(self.codebooks)
        state = self.begin_at(x, self._visit(all_positions))[1]
        stream = self.finish_at(state, self._visit(last_position))
        logits = self.decoder.read(stream)[0]
        target = self.resolve_target(logits, target)
        strength = logits.new_zeros(x.shape[0], len(self.units)).scatter(1, last_position.ids()[0], 1)
        strength[:, self.held] = 0.0
        contribution = strength * self._effects(self.decoder.readout(stream[0], target))
        base = logits.gather(1, target[:, None])[:, 0] - contribution.sum(1)
        shown = self.resolve_shown(contribution, shown)
        on = all_positions.ids().masked_fill(x[:, : self.decoder.context, None] < 0, -2)
        if self.held:
            on = on.masked_fill(torch.isin(on, on.new_tensor(self.held)), -2)
        where = (on[:, None] == shown[:, :, None, None]).any(-1).to(logits.dtype)
        return Explanation(self.units, logits, target, strength, contribution, base, shown, where)

    def _effects(self, direction: Tensor) -> Tensor:
        """What each code adds to the logit if it is on, ``(b, u)``, from the directions ``(b, d)`` of the logit."""
        effects: list[Tensor] = []
        blocks = list(self.decoder.blocks)
        for layer, place in self.codebooks.first:
            codes = self.codebooks.at(layer, place).codes
            directions = direction[:, None]
            if place == "mix":
                weight = blocks[layer].attention.out.weight
                directions = (direction @ weight).unflatten(1, codes.shape[::2])
            effects.append(torch.einsum("bge,gce->bgc", directions, codes).flatten(1) / self.k)
        return torch.cat(effects, 1)
