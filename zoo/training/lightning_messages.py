"""Lightning's messages that say nothing to a user of zoo, turned off."""

import logging
import os
import warnings

MESSAGES = (
    ".*does not have many workers",
    ".*smaller than the logging interval",
    ".*LeafSpec",
    ".*in eval mode at the start of training",  # frozen parts, on purpose
    ".*dataloader is not resumable",  # it is: Data.resume_at
    ".*Total length of `list` across ranks is zero",  # there is no validation split
)


def quiet() -> None:
    """Turn off Lightning's log lines below warnings, and its warnings that do not apply here."""
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in MESSAGES:
        warnings.filterwarnings("ignore", message=message)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
