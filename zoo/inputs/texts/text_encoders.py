"""Sentence encoders of others: named by id and hash, found on this machine, never fetched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from zoo import paths

FOLDER = "text_encoders"  # below the data root
FILES = ("config.json", "model.safetensors", "tokenizer.json")
BLOCK = 1 << 20  # bytes hashed at a time


@dataclass(frozen=True)
class EncoderSpec:
    """Identity of a sentence encoder; a checkpoint holds this and no weights.

    Attributes:
        id: name of its folder, or repository on the hub.
        sha256: of its files, see ``encoder_hash``.
        width: d, size of a token state.
        length: largest number of word pieces of a text.

    Example:
        >>> EncoderSpec("tiny", "0" * 64, 8, 32).to_config()["width"]
        8
    """

    id: str
    sha256: str
    width: int
    length: int

    def to_config(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> EncoderSpec:
        """Return the specification of plain values.

        Raises:
            ValueError: if a key is missing or unknown.
        """
        try:
            return cls(str(config["id"]), str(config["sha256"]), int(config["width"]), int(config["length"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"a text encoder is described by id, sha256, width and length: {error}") from error

    def folder(self) -> Path:
        """Return the folder of this very encoder.

        Raises:
            ValueError: if it is not on this machine, or another one has its name.
        """
        folder = find_encoder(self.id)
        actual = encoder_hash(folder)
        if actual != self.sha256:
            raise ValueError(
                f"the text encoder in {folder} has the hash {actual[:12]}; the model was trained with {self.id} of hash"
                f" {self.sha256[:12]}: put that version there, {cure(self.id)}"
            )
        return folder


def encoder_spec(name: str) -> EncoderSpec:
    """Return the specification of an encoder on this machine.

    Args:
        name: a folder, the name of a folder below ``ZOO_DATA/text_encoders``, or a repository in the local hub cache.

    Raises:
        ValueError: if there is none, or its ``config.json`` does not give its sizes.
    """
    folder = find_encoder(name)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        width = int(config.get("hidden_size") or config["dim"])
        length = int(config.get("max_position_embeddings") or config.get("n_positions") or 512)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / 'config.json'} does not describe an encoder ({type(error).__name__} {error})"
        ) from error
    if config.get("model_type") in ("roberta", "xlm-roberta", "mpnet"):
        length -= 2  # their positions begin after that of the padding
    path = Path(name).expanduser()
    return EncoderSpec(folder.name if path.is_dir() else name, encoder_hash(folder), width, length)


def find_encoder(name: str) -> Path:
    """Return the folder of an encoder: a path, ``ZOO_DATA/text_encoders/<name>``, or the local cache of the hub.

    Raises:
        ValueError: if it is not on this machine; nothing is fetched.
    """
    for folder in (Path(name).expanduser(), paths.data() / FOLDER / name):
        if folder.is_dir():
            missing = [file for file in FILES if not (folder / file).is_file()]
            if missing:
                raise ValueError(f"the text encoder {folder} has no {missing[0]}; expected {', '.join(FILES)}")
            return folder
    cached = _in_hub_cache(name)
    if cached is not None:
        return cached
    known = sorted(p.name for p in (paths.data() / FOLDER).glob("*") if p.is_dir())
    near = paths.did_you_mean(name, known)
    raise ValueError(
        f"the text encoder {name!r} is not on this machine{near or '; nothing is fetched by itself'}"
        f" (looked in {paths.data() / FOLDER} and the hub cache): {cure(name)}"
    )


def cure(name: str) -> str:
    """Return the command that brings an encoder here."""
    repository = name if "/" in name else "<repository>"
    folder = paths.data() / FOLDER / name.rpartition("/")[2]
    return f"put it there, such as by `hf download {repository} --local-dir {folder}`, or set ZOO_DATA"


def _in_hub_cache(name: str) -> Path | None:
    if name.count("/") != 1:
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = [try_to_load_from_cache(name, file) for file in FILES]
    except HFValidationError:
        return None
    return Path(found[0]).parent if all(isinstance(file, str) for file in found) else None  # pyright: ignore[reportArgumentType]


def encoder_hash(folder: Path) -> str:
    """Return the sha256 of the files of an encoder: names and contents of configuration, weights and tokenizer."""
    stats = tuple((folder / name).stat() for name in FILES)
    return _hash(str(folder.resolve()), tuple((stat.st_size, stat.st_mtime_ns) for stat in stats))


@lru_cache(maxsize=16)
def _hash(folder: str, stats: tuple[tuple[int, int], ...]) -> str:
    digest = hashlib.sha256()
    for name, (size, _) in zip(FILES, stats, strict=True):
        digest.update(f"{name} {size}\n".encode())
        with open(Path(folder) / name, "rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()
