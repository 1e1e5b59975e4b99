"""Push: put a checkpoint on a model hub, as one commit."""

from pathlib import Path

from zoo.recipe_support.recipe_results import PushResult
from zoo.serving import hub
from zoo.training.process_settings import prepared


@prepared
def push(
    name: str | Path,
    repo: str,
    *,
    private: bool = False,
    message: str = "",
    endpoint: str | None = None,
    token: str = "",
) -> PushResult:
    """Push a checkpoint to a repository of the hub as one commit, with a card that the hub reads.

    The checkpoint is loaded first, so that nothing damaged is pushed. A push that is interrupted changes no file of the
    repository.

    Args:
        name: checkpoint or run folder.
        repo: ``organization/name``; made where there is none.
        private: whether a repository that is made is private.
        message: of the commit.
        endpoint: address of the hub; None for ``HF_ENDPOINT`` or huggingface.co.
        token: of the hub; empty for that of ``HF_TOKEN`` or of ``hf auth login``.

    Raises:
        ValueError: no such checkpoint, a damaged one, or the hub refuses it.

    Example:
        >>> import zoo
        >>> zoo.push("protopnet-digits", "my-lab/protopnet-digits").address  # doctest: +SKIP
        'https://huggingface.co/my-lab/protopnet-digits/commit/...'
    """
    address = hub.push(str(name), repo, private=private, message=message, endpoint=endpoint, token=token)
    return PushResult(repo, address)
