"""Migrate: complete a checkpoint of an earlier version with the inputs that it was trained on and the weights' hash."""

import re
from collections.abc import Sequence

from zoo import checkpoint
from zoo.data import create_data
from zoo.inputs import base as model_inputs
from zoo.recipe_support.recipe_results import MigrateResult
from zoo.training.process_settings import prepared
from zoo.training.run import load_checkpoint
from zoo.weights.integrity import SUFFIX, write_hash


@prepared
def migrate(name: str, *, overrides: Sequence[str] = ()) -> MigrateResult:
    """Fit the inputs of a checkpoint on its training data and store them beside its weights, with the weights' hash.

    Weights and scores do not change. Afterwards the checkpoint predicts and explains new files without its data.

    Args:
        name: checkpoint or run folder without ``inputs.yaml`` or without the hash.
        overrides: ``data.key=value``, such as the place of the training data on this machine.

    Raises:
        ValueError: no such checkpoint, it has its inputs already, the data are not those it was trained on, or their
            kind has no inputs to store.

    Example:
        >>> import zoo
        >>> zoo.migrate("runs/old", overrides=["data.file=patients.csv"]).file  # doctest: +SKIP
    """
    folder = checkpoint.find(name)
    file = folder / model_inputs.FILE
    weights = folder / checkpoint.WEIGHTS
    side = weights.with_name(weights.name + SUFFIX)
    if file.is_file() and side.is_file():
        raise ValueError(f"{folder} has {model_inputs.FILE} and {side.name} already; nothing is missing")
    if file.is_file():
        return MigrateResult(write_hash(weights), checkpoint.load(name).class_names)
    _, config = load_checkpoint(name, overrides)
    arguments = {str(key): value for key, value in config.data.items()}
    data = create_data(**arguments)
    data.setup()
    stored = re.search(r"hash ([0-9a-f]{12})", checkpoint.read(folder)[1].get("data", ""))
    if stored is not None and stored[1] != data.fingerprint():
        raise ValueError(
            f"{folder} was trained on data with hash {stored[1]}; these have hash {data.fingerprint()}:"
            " name the training data with data.key=value"
        )
    if data.inputs is None:
        raise ValueError(f"data {config.data.name!r} has no inputs that a checkpoint can store")
    model_inputs.save(data.inputs, folder)
    if not side.is_file():
        write_hash(weights)
    return MigrateResult(file, tuple(data.inputs.class_names))
