"""The model card of a checkpoint: what it is, how it was trained, its scores and its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.data.base import Data
from zoo.reporting.context import ScoreRow


def card(
    name: str,
    config: Mapping[str, Any],
    data: Data,
    rows: Sequence[ScoreRow],
    facts: Mapping[str, str],
    *,
    n_units: int,
) -> str:
    """Return Markdown with the front matter that model hubs read.

    Args:
        name: of the checkpoint.
        config: of the run, as plain values.
        data: what it was trained on.
        rows: the score table.
        facts: of the run.
        n_units: size of the vocabulary.
    """
    model = config["model"]
    source = model.get("backbone_weights") or ("timm's hub" if model.get("pretrained") else None)
    start = f"initialized from `{source.rsplit('/', 1)[-1]}`" if source else "with random initialization"
    if (config.get("finetune") or {}).get("source"):
        new = ", ".join(config["finetune"]["replace"])
        start = f"fine-tuned from `{config['finetune']['source']}`" + (f", new {new}" if new else "")
    if model.get("encoder"):
        encoder = model["encoder"]
        start = (
            f"on the frozen text encoder `{encoder['id']}` (sha256 `{encoder['sha256'][:12]}`), which is not part of"
            " this checkpoint and must be on the machine"
        )
    scores = "\n".join(f"| {r.name} | {r.value} | {r.protocol} | {r.note} |" for r in rows)
    facts_list = "\n".join(f"- {k}: {v}" for k, v in facts.items())
    example = (
        "\n![an input, the units with the largest contributions, and their sum](explanation.png)\n" if n_units else ""
    )
    trained_on = config["data"].get("set") or config["data"]["name"]
    on = f" on `{model['backbone']}`" if model.get("backbone") else ""
    concepts = f" Concepts: {data.concepts.provenance}." if model.get("concepts") and data.concepts else ""
    return f"""---
library_name: zoo
tags: [interpretability, {model["name"]}, {config["data"]["name"]}]
license: mit
---
# {name}

{model["name"]} with {n_units} units{on}, {start},
trained on {trained_on} ({data.num_classes} classes, inputs of {" x ".join(map(str, data.input_shape))}).
License of the data: {data.license}.{concepts}

```python
import zoo
model = zoo.load("{name}")    # in eval mode
explanation = model.explain(x)  # x: (b, {", ".join(map(str, data.input_shape))}), {data.input_scale}
```
{example}
## Scores on the test split

| score | value | protocol | note |
| --- | --- | --- | --- |
{scores}

## Training

{facts_list}

## Limits

An explanation shows which units this model used for its answer; it is no evidence about the world. Scores of different
protocol ids cannot be compared. The scores are of the test split, which is used for reporting only; validation metrics
are in `log.csv`.
"""
