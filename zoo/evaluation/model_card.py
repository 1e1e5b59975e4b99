"""The card of a checkpoint: what it is, how it was made, what it scores, what it cannot do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.data.base import Data
from zoo.reporting.page import ScoreRow


def card(
    name: str,
    config: Mapping[str, Any],
    data: Data,
    rows: Sequence[ScoreRow],
    facts: Mapping[str, str],
    *,
    n_units: int,
) -> str:
    """Markdown with the front matter that model hubs read."""
    model = config["model"]
    source = model.get("backbone_weights") or ("timm's hub" if model.get("pretrained") else None)
    start = f"from `{source.rsplit('/', 1)[-1]}`" if source else "from random weights"
    if (config.get("finetune") or {}).get("source"):
        new = ", ".join(config["finetune"]["replace"])
        start = f"fine-tuned from `{config['finetune']['source']}`" + (f", new {new}" if new else "")
    scores = "\n".join(f"| {r.name} | {r.value} | {r.protocol} | {r.note} |" for r in rows)
    made = "\n".join(f"- {k}: {v}" for k, v in facts.items())
    example = "\n![an input, its strongest units, and the sum](explanation.png)\n" if n_units else ""
    on = f" on `{model['backbone']}`" if model.get("backbone") else ""
    told = f" Concepts: {data.concepts.provenance}." if model.get("concepts") and data.concepts else ""
    return f"""---
library_name: zoo
tags: [interpretability, {model["name"]}, {config["data"]["name"]}]
license: mit
---
# {name}

{model["name"]} with {n_units} units{on}, started {start},
trained on {config["data"]["name"]} ({data.num_classes} classes, inputs of {" x ".join(map(str, data.input_shape))}).
License of the data: {data.license}.{told}

```python
import zoo
m = zoo.load("{name}")     # strict; eval mode
e = m.explain(x)           # x: (b, {", ".join(map(str, data.input_shape))}), {data.input_scale}
```
{example}
## Scores on the test split

| score | value | protocol | note |
| --- | --- | --- | --- |
{scores}

## How it was made

{made}

## Limits

An explanation shows what this model used, not what is true of the world. Scores with different protocol ids must not be
compared. The table is of the test split, which zoo reads for reporting only; validation figures are in `log.csv`.
"""
