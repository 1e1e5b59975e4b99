"""Plain values with attribute access, and texts that OmegaConf must not read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from zoo import paths

MISSING = "???"  # OmegaConf's mark of a value that must be given
HIDDEN = "\0"  # begins a text that OmegaConf must not read, in hexadecimal digits


class Settings(dict[str, Any]):
    """A mapping whose keys are attributes too, as are those of the mappings in it; a text is nothing but a text.

    >>> config = Settings.of({"data": {"target": "${x}"}})
    >>> config.data.target
    '${x}'
    """

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """Return a mapping with all mappings in it as settings."""
        return cls({str(key): _settings(value) for key, value in values.items()})

    def __getattr__(self, key: str) -> Any:
        if key in self:
            return self[key]
        raise AttributeError(f"there is no {key!r}{paths.did_you_mean(key, list(self))}")

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = _settings(value)


def _settings(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Settings.of(value)
    return [_settings(item) for item in value] if isinstance(value, list | tuple) else value


def plain(value: Any) -> Any:
    """Return settings or an OmegaConf node as plain Python values; nothing is interpolated."""
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, enum_to_str=True)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def hide(value: Any) -> Any:
    """Return plain values in which no text means anything to OmegaConf; ``show`` returns the texts."""
    if isinstance(value, Mapping):
        return {key: hide(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [hide(item) for item in value]
    if isinstance(value, str) and ("${" in value or value == MISSING or value.startswith(HIDDEN)):
        return HIDDEN + value.encode("utf-8", "surrogatepass").hex()
    return value


def show(value: Any) -> Any:
    """Return plain values, or the text of an error, as they were before ``hide``.

    >>> show(hide({"names": ["${x", "???", "plain"]}))
    {'names': ['${x', '???', 'plain']}
    """
    if isinstance(value, Mapping):
        return {key: show(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [show(item) for item in value]
    if isinstance(value, str) and value.startswith(HIDDEN):
        return bytes.fromhex(value[1:]).decode("utf-8", "surrogatepass")
    return value
