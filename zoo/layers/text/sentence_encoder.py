"""Sentence encoders: token states and their mean, from a frozen encoder of others or from one trained here."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from zoo import paths
from zoo.inputs.texts.text_encoders import EncoderSpec
from zoo.layers.text.state_store import StateStore
from zoo.layers.transformer.encoder import Encoder
from zoo.sequence_spec import NOTHING, Frame

BATCH_TOKENS = 4096  # word pieces of a forward pass of a frozen encoder


class SentenceEncoder(Protocol):
    """Token states ``(b, t, d)`` of texts, and vectors ``(b, d)`` that are their mean over the tokens.

    Attributes:
        width: d.
        length: t, tokens of an input.
    """

    width: int
    length: int

    def states(self, codes: Tensor) -> Tensor:
        """Return the states ``(b, t, d)`` of texts ``(b, t)`` padded with -1; 0 at padding."""
        ...

    def vectors(self, codes: Tensor) -> Tensor:
        """Return the mean ``(b, d)`` of the states over the tokens of each text."""
        ...


class PretrainedEncoder(nn.Module):
    """A frozen encoder of others, resolved by id and hash at the first text; it has no parameters and saves none.

    Vectors are kept by the hash of the text, in memory and in the user's cache folder.

    Args:
        spec: identity of the encoder.
        length: t, word pieces of an input.

    Raises:
        ValueError: (at the first text) if the encoder is not on this machine, or another one has its name.
    """

    def __init__(self, spec: EncoderSpec, length: int) -> None:
        super().__init__()
        if length > spec.length:
            raise ValueError(f"data.length is {length}; the text encoder {spec.id} reads {spec.length} pieces at most")
        self.spec = spec
        self.width = spec.width
        self.length = length
        self.store = StateStore(paths.cache() / "text_states" / f"{spec.sha256[:16]}-mean")

    def __deepcopy__(self, memo: dict[int, Any]) -> PretrainedEncoder:
        return PretrainedEncoder(self.spec, self.length)  # the weights are shared and frozen

    @torch.no_grad()
    def states(self, codes: Tensor) -> Tensor:
        """Return the states ``(b, t, d)`` float32 of texts ``(b, t)``; 0 at padding."""
        network = frozen_network(self.spec)
        device = codes.device
        network.to(device)
        real = codes != NOTHING
        if torch.compiler.is_exporting():  # a graph holds the network, and neither sorts texts nor trims padding
            hidden = network(input_ids=codes.clamp_min(0), attention_mask=real.long()).last_hidden_state
            return hidden.float() * real[..., None]
        lengths = real.sum(1)
        out = torch.zeros(*codes.shape, self.width, device=device)
        order = lengths.argsort(stable=True)
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and int(lengths[order[end]]) * (end + 1 - start) <= BATCH_TOKENS:
                end += 1
            ids = order[start:end]
            t = max(1, int(lengths[ids].max()))
            mask = real[ids, :t]
            pieces = codes[ids, :t].clamp_min(0)
            hidden = network(input_ids=pieces, attention_mask=mask.long()).last_hidden_state
            out[ids, :t] = hidden.float() * mask[..., None]
            start = end
        return out

    def vectors(self, codes: Tensor) -> Tensor:
        """Return the mean ``(b, d)`` float32 of the states of texts ``(b, t)``, computed once for each text."""
        if torch.compiler.is_exporting():
            return mean_state(self.states(codes), codes)
        known = self.store.get(codes)
        new = [i for i, vector in enumerate(known) if vector is None]
        if new:
            for start in range(0, len(new), 2048):
                part = codes[new[start : start + 2048]]
                vectors = mean_state(self.states(part), part).cpu()
                self.store.put(part, vectors)
                for i, vector in zip(new[start : start + 2048], vectors, strict=True):
                    known[i] = vector
        if not known:
            return torch.zeros(0, self.width, device=codes.device)
        return torch.stack([vector for vector in known if vector is not None]).to(codes.device)

    def keep(self, codes: Tensor, states: Tensor) -> None:
        """Keep the vectors of texts ``(b, t)`` whose states ``(b, t, d)`` were computed, where they are not known."""
        new = [i for i, vector in enumerate(self.store.get(codes)) if vector is None]
        if new:
            self.store.put(codes[new], mean_state(states[new], codes[new]))


class OwnEncoder(nn.Module):
    """A small transformer on words, trained from the sentences alone; nothing of others is in it.

    Args:
        frame: vocabulary and length of the sequences.
        width: d.
        depth: blocks; 0 for the word vectors alone.
        heads: of each block.
        dropout: of the embedded words and of the output of each sub-layer.
    """

    def __init__(self, frame: Frame, *, width: int, depth: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.length = frame.length
        self.width = width
        self.net = Encoder(
            len(frame.tokens), frame.length, width=width, depth=max(depth, 1), heads=heads, dropout=dropout
        )
        if not depth:
            self.net.blocks = self.net.blocks[:0]  # pyright: ignore[reportAttributeAccessIssue]

    def states(self, codes: Tensor) -> Tensor:
        """Return the states ``(b, t, d)`` of texts ``(b, t)``; 0 at padding."""
        if torch.compiler.is_exporting():  # a graph does not trim padding
            return self.net(codes) * (codes != NOTHING)[..., None]
        longest = max(1, int((codes != NOTHING).sum(1).max())) if len(codes) else 1
        out = self.net(codes[:, :longest]) * (codes[:, :longest] != NOTHING)[..., None]
        return nn.functional.pad(out, (0, 0, 0, codes.shape[1] - longest))

    def vectors(self, codes: Tensor) -> Tensor:
        """Return the mean ``(b, d)`` of the states over the tokens of each text."""
        return mean_state(self.states(codes), codes)


def mean_state(states: Tensor, codes: Tensor) -> Tensor:
    """Return the mean ``(b, d)`` of states ``(b, t, d)`` over the tokens of texts ``(b, t)``; 0 for an empty text."""
    real = (codes != NOTHING).to(states)[..., None]
    return (states * real).sum(1) / real.sum(1).clamp_min(1)


def token_shares(states: Tensor, codes: Tensor, directions: Tensor) -> Tensor:
    """Return what each token adds to the cosine of its text with some directions, exact for the norm as it is.

    The text's vector is e, the mean of n states h; the cosine with a direction w of norm 1 is the sum over the tokens
    of w.h / (n |e|). States mix the tokens of a text, so a share says where the cosine is read, not what caused it.

    Args:
        states: ``(b, t, d)``, 0 at padding.
        codes: ``(b, t)``, -1 at padding.
        directions: ``(b, k, d)``, or ``(k, d)`` for the same of all texts; of norm 1 for cosines.

    Returns:
        ``(b, k, t)``, 0 at padding; the sum over t is the cosine.

    Example:
        >>> states = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> token_shares(states, torch.tensor([[3, 4]]), torch.tensor([[[1.0, 0.0]]])).tolist()
        [[[0.7071067690849304, 0.0]]]
    """
    norm = mean_state(states, codes).norm(dim=1).clamp_min(1e-12)
    count = (codes != NOTHING).sum(1).clamp_min(1).to(states)
    directions = directions.to(states)
    products = states @ (directions.T if directions.ndim == 2 else directions.transpose(1, 2))
    return products.transpose(1, 2) / (count * norm)[:, None, None]


@lru_cache(maxsize=2)
def frozen_network(spec: EncoderSpec) -> nn.Module:
    """Return the network of an encoder, in eval mode and without gradients, loaded from this machine alone.

    Raises:
        ValueError: if the encoder or the package transformers is missing.
    """
    folder = spec.folder()
    try:
        from transformers import AutoModel  # pyright: ignore[reportMissingImports]
        from transformers.utils import logging  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            "a text encoder of others needs the package transformers: pip install 'zoo-interpretable[text]'"
        ) from error
    logging.disable_progress_bar()
    network = AutoModel.from_pretrained(str(folder), local_files_only=True, dtype=torch.float32)
    return network.eval().requires_grad_(False)
