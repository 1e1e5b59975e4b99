"""Steer: continue a prompt while codes or neurons are set; find the codes of a topic, and measure their effect."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo import checkpoint
from zoo.capabilities import LanguageModel, Steerable, capability
from zoo.config import keyword_overrides
from zoo.evaluation.units.code_search import Steered, continuation, likely, search, share, topic
from zoo.evaluation.units.unit_values import parse_strength
from zoo.paths import did_you_mean
from zoo.recipe_support.recipe_results import SteerResult, TopicRate
from zoo.training.process_settings import prepared
from zoo.training.run import data_of, load_checkpoint


@prepared
def steer(
    name: str | Path,
    prompt: str | None = None,
    values: Mapping[str, str | float] | None = None,
    *,
    topic_pattern: str | None = None,
    codes: int = 32,
    samples: int = 0,
    judge: str | None = None,
    new: int = 40,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    data: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
) -> SteerResult:
    """Continue a prompt with and without units set.

    Args:
        name: checkpoint or run folder of a language model.
        prompt: the text to continue; without one, the codes of the topic are only listed.
        values: by unit name: a code is ``on`` or ``off``; a neuron is ``off`` or has a strength, such as 2.5.
        topic_pattern: regular expression; without ``values``, the codes that predict it are set to on.
        codes: number of codes of the topic.
        samples: instead of one text, sample so many and measure how often they contain the topic.
        judge: checkpoint whose perplexity of the samples is reported; by default the model itself, unsteered.
        new: number of tokens to write.
        temperature: of sampling; 0 writes the most likely token each time.
        top_k: sample from the k most likely tokens only.
        top_p: sample from the most likely tokens that together have this probability.
        seed: of sampling.
        data: arguments of the data source to override.
        overrides: ``data.key=value`` strings, as on the command line.

    Raises:
        ValueError: no such checkpoint, unit or value, a model without steerable units, or nothing to do.

    Example:
        >>> import zoo
        >>> zoo.steer("codebook_transformer-tokfsm", "12 34", {"L1.H0.7": "on"}).texts  # doctest: +SKIP
    """
    name = str(name)
    values = values or {}
    if samples < 0:
        raise ValueError(f"--samples is {samples}; expected the number of texts to sample, 0 or more")
    pattern = None if topic_pattern is None else topic(topic_pattern)
    if pattern is None and (prompt is None or samples):
        raise ValueError("nothing to do: give a prompt" if prompt is None else "--samples needs a --topic")
    model, config = load_checkpoint(name, [*keyword_overrides({"data": data or {}}), *overrides])
    steerable, language_model = capability(model, Steerable), capability(model, LanguageModel)
    if steerable is None or language_model is None:
        raise ValueError(f"{name} is a {model.name}; only codes and neurons of language models can be set")
    kind, names = model.units.kind, list(model.units.names)
    if pattern is not None and not model.units.binary:
        raise ValueError(f"{name} has {kind}s; only codes are found by --topic")
    strengths = {unit: parse_strength(model.units, unit, str(value)) for unit, value in values.items()}
    for unit in values:
        if unit not in names:
            raise ValueError(f"there is no {kind} {unit!r}{did_you_mean(unit, names)}")
    judge_model = _judge(name, model, judge) if samples else model  # before the search, which takes a while
    source: Any = data_of(config, model)  # of sequences, as the model is
    held = {names.index(unit): strength for unit, strength in strengths.items()}
    x = None if prompt is None else source.read_input(prompt)[None]
    topic_units = []
    if pattern is not None and not held:
        topic_units = list(zip(*search(model, source, pattern, count=codes), strict=True))
        held = {on_train.unit: 1.0 for on_train, _ in topic_units}
    result = {"name": checkpoint.title(name), "unit_kind": kind, "binary": model.units.binary}
    result |= {"unit_names": names, "held": held}
    if x is None:
        return SteerResult(**result, topic_units=topic_units)
    options = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    length = int((x >= 0).sum())
    if samples and pattern is not None:
        x, test, rates = x[:, :length].repeat(samples, 1), source.windows("test"), {}
        for title, units in (("unsteered", {}), ("steered", held)):
            tokens = steerable.steer(x, new, units, **options)
            loss = float(source.nats(Steered(model, units), test)[0].mean())
            rates[title] = TopicRate(share(source, tokens, pattern), likely(judge_model, x, tokens), loss)
        return SteerResult(**result, topic_units=topic_units, rates=rates)
    written = {"unsteered": language_model.generate(x, new, **options)}
    if held:
        written["steered"] = steerable.steer(x, new, held, **options)
    texts = {title: continuation(source, x[:, :length], tokens) for title, tokens in written.items()}
    return SteerResult(**result, prompt="".join(source.token_texts(x)[0]), texts=texts, topic_units=topic_units)


def _judge(name: str, model: Any, judge: str | None) -> Any:
    """Return the model whose perplexity is reported."""
    other: Any = model if judge is None else load_checkpoint(judge, [])[0]
    if capability(other, LanguageModel) is None:
        raise ValueError(f"--judge {judge} is a {other.name}; expected a language model")
    if other.decoder.vocabulary != model.decoder.vocabulary:
        raise ValueError(f"--judge {judge} has another vocabulary than {name}")
    return other
