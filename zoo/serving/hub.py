"""Checkpoints on a model hub: pushed as one commit, pulled whole or not at all, checked like any other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from zoo import checkpoint, paths
from zoo.serving.whole_folder import filled_beside
from zoo.weights.integrity import SUFFIX

if TYPE_CHECKING:
    from zoo.model import SelfExplaining

FILES = (
    checkpoint.WEIGHTS,
    checkpoint.WEIGHTS + SUFFIX,
    "config.yaml",
    "inputs.yaml",
    "tokenizer.json",
    checkpoint.TASK,
    "metrics.json",
    "README.md",
    checkpoint.UNITS,
    checkpoint.SHEET,
    "explanation.png",
    "edits.yaml",
    "edits.safetensors",
)  # of a checkpoint; nothing else is pushed or pulled
PIPELINES = {
    ("image", "classification"): "image-classification",
    ("image", "multilabel"): "image-classification",
    ("table", "classification"): "tabular-classification",
    ("table", "regression"): "tabular-regression",
    ("sentences", "classification"): "text-classification",
    ("text", "classification"): "text-classification",
}


def push(
    name: str, repo: str, *, private: bool = False, message: str = "", endpoint: str | None = None, token: str = ""
) -> str:
    """Push a checkpoint to a repository of the hub as one commit, and return the address of the commit.

    A push that is interrupted changes no file of the repository; one that did not exist may then be there, empty.

    Args:
        name: of a checkpoint, or a folder.
        repo: ``org/name``; made where there is none.
        private: whether a repository that is made is private.
        message: of the commit.
        endpoint: address of the hub; None for ``HF_ENDPOINT`` or huggingface.co.
        token: of the hub; empty for that of ``HF_TOKEN`` or of ``hf auth login``.

    Raises:
        ValueError: if the checkpoint is damaged or the hub refuses it.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    check_repository(repo)
    folder = checkpoint.find(name)
    model = checkpoint.load(str(folder))  # only what can be loaded is pushed
    _, metrics = checkpoint.read(folder)
    local = {file: folder / file for file in FILES if (folder / file).is_file()}
    card = local["README.md"].read_text(encoding="utf-8") if "README.md" in local else f"# {checkpoint.title(name)}\n"
    with _errors_of_hub(repo):
        api = HfApi(endpoint=endpoint, token=token or None, library_name="zoo")
        api.create_repo(repo, private=private, exist_ok=True)
        stale = [file for file in api.list_repo_files(repo) if file in FILES and file not in {*local, "README.md"}]
        contents: dict[str, Any] = {**local, "README.md": card_for_hub(card, repo, model, metrics).encode()}
        operations = [CommitOperationAdd(file, content) for file, content in contents.items()]
        operations += [CommitOperationDelete(file) for file in stale]
        title = message or f"{checkpoint.title(name)}, by zoo"
        return str(api.create_commit(repo, operations, commit_message=title).commit_url)


def pull(
    repo: str,
    *,
    revision: str | None = None,
    name: str | None = None,
    overwrite: bool = False,
    endpoint: str | None = None,
    token: str = "",
) -> Path:
    """Pull a checkpoint from a repository of the hub into the folder of checkpoints, and return its folder.

    It is fetched beside its place, checked like every checkpoint (hash, names, types and shapes of the tensors, finite
    numbers), and moved there as a whole. What a pull that was killed left is removed by the next one.

    Args:
        repo: ``org/name``.
        revision: branch, tag or commit; None for the latest.
        name: of the checkpoint on this machine; None for the last part of ``repo``.
        overwrite: replace a checkpoint of that name.
        endpoint: address of the hub, as for ``push``.
        token: of the hub, as for ``push``.

    Raises:
        ValueError: if a checkpoint of that name exists, the hub has no such repository, or what it has is damaged.
    """
    from huggingface_hub import snapshot_download

    check_repository(repo)
    name = name or repo.split("/")[1]
    if not name or name.startswith(".") or Path(name).name != name:
        raise ValueError(f"the name is {name!r}; expected one that can be a folder, such as {repo.split('/')[1]}")
    folder = destination() / name
    if folder.exists() and not overwrite:
        raise ValueError(f"{folder} exists; add --overwrite to replace it, or choose another --name")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filled_beside(folder) as part:
        with _errors_of_hub(repo):
            snapshot_download(
                repo,
                revision=revision,
                local_dir=part,
                allow_patterns=list(FILES),
                endpoint=endpoint,
                token=token or None,
                library_name="zoo",
            )
        shutil.rmtree(part / ".cache", ignore_errors=True)
        if not (part / checkpoint.WEIGHTS).is_file():
            raise ValueError(f"{repo} has no {checkpoint.WEIGHTS}; expected a checkpoint that zoo pushed")
        checkpoint.load(str(part))
    return folder


def destination() -> Path:
    """Return the folder that pulled checkpoints are put into: ``ZOO_CHECKPOINTS``, or that of the user's cache."""
    own = os.environ.get("ZOO_CHECKPOINTS")
    return Path(own).expanduser() if own else paths.cache() / "checkpoints"


def check_repository(repo: str) -> None:
    """Refuse a name that is no repository of the hub.

    Raises:
        ValueError: naming the form.
    """
    organization, _, name = repo.partition("/")
    if not organization or not name or "/" in name or ":" in repo:
        raise ValueError(f"the repository is {repo!r}; expected organization/name, such as my-lab/protopnet-birds")


def card_for_hub(card: str, repo: str, model: SelfExplaining, metrics: Mapping[str, Any]) -> str:
    """Return a model card whose front matter has what the hub reads: pipeline, data and the scores of the task.

    Args:
        card: of the checkpoint, with or without front matter.
        repo: ``org/name``.
        model: a loaded one.
        metrics: content of ``metrics.json``.

    Example:
        >>> model = checkpoint.load("additive-wine_quality")
        >>> card_for_hub("# wine", "my-lab/wine", model, {}).splitlines()[:2]
        ['---', 'library_name: zoo']
    """
    front, body = _split(card)
    kind = "" if model.inputs is None else model.inputs.kind
    next_token = getattr(model.inputs, "next_token", False)
    pipeline = "text-generation" if next_token else PIPELINES.get((kind, model.task.kind))
    data = str(model.config["data"]["name"])
    tags = [*(front.get("tags") or []), "interpretability", model.name, data]
    front = {"library_name": "zoo", **front, "tags": list(dict.fromkeys(map(str, tags)))}
    scores = metrics.get("scores", {})
    values = {score: scores.get(score, {}).get("value") for score in model.task.metric_names}
    results = [
        {"type": score, "name": f"{score} on the test split", "value": value}
        for score, value in values.items()
        if value is not None
    ]
    if pipeline:
        front["pipeline_tag"] = pipeline
        source = {"name": data, "type": data, "split": "test"}
        if results:
            result = {"task": {"type": pipeline}, "dataset": source, "metrics": results}
            front["model-index"] = [{"name": repo.split("/")[1], "results": [result]}]
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n{body}"


def _split(card: str) -> tuple[dict[str, Any], str]:
    """Return front matter and body of a card; a damaged front matter is a part of the body."""
    if card.startswith("---\n") and "\n---\n" in card[4:]:
        front, _, body = card[4:].partition("\n---\n")
        try:
            values = yaml.safe_load(front)
        except yaml.YAMLError:
            values = None
        if isinstance(values, dict):
            return values, body
    return {}, card


@contextmanager
def _errors_of_hub(repo: str) -> Iterator[None]:
    """Make what the hub and the network answer an error of one line; hide progress bars."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hidden = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    except HfHubHTTPError as error:
        status: int = getattr(error.response, "status_code", 0)
        cures = {401: "log in with `hf auth login`", 403: "the token may not write there", 404: "there is none"}
        cure = cures.get(status, "try again")
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"the hub refuses {repo} ({status}): {cure}; it said: {reason}") from error
    except ValueError:
        raise
    except Exception as error:  # of the network, a disk, or a missing token: classes of several packages
        raise ValueError(f"{repo}: {' '.join(str(error).split())[:300] or type(error).__name__}") from error
    finally:
        if not hidden:
            enable_progress_bars()
