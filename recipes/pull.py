"""Pull: fetch a checkpoint from a model hub into the folder of checkpoints."""

from zoo.recipe_support.recipe_results import PullResult
from zoo.serving import hub
from zoo.training.process_settings import prepared


@prepared
def pull(
    repo: str,
    *,
    revision: str | None = None,
    name: str | None = None,
    overwrite: bool = False,
    endpoint: str | None = None,
    token: str = "",
) -> PullResult:
    """Pull a checkpoint from a repository of the hub, whole or not at all, and check it as any other.

    Args:
        repo: ``organization/name``.
        revision: branch, tag or commit; None for the latest.
        name: of the checkpoint on this machine; None for the last part of ``repo``.
        overwrite: replace a checkpoint of that name.
        endpoint: address of the hub; None for ``HF_ENDPOINT`` or huggingface.co.
        token: of the hub; empty for that of ``HF_TOKEN`` or of ``hf auth login``.

    Raises:
        ValueError: a checkpoint of that name exists, the hub has no such repository, or what it has is damaged.

    Example:
        >>> import zoo
        >>> zoo.pull("my-lab/protopnet-digits").name  # doctest: +SKIP
        'protopnet-digits'
    """
    folder = hub.pull(repo, revision=revision, name=name, overwrite=overwrite, endpoint=endpoint, token=token)
    return PullResult(folder.name, folder)
