"""Results as lines for people: the number, how sure it is, what it means, what chance gives."""

from __future__ import annotations

from collections.abc import Mapping

from zoo.metrics.result import Result
from zoo.reporting.page import ScoreRow

MEANING = {
    "accuracy": "share of samples answered rightly",
    "completeness gap": "relative gap between a logit and the sum that explains it; 0 is exact",
    "effective units": "units that carry 90 % of an answer",
    "redundancy": "share of units that repeat an earlier one",
    "consistency": "per cent of units that keep to one part of the object",
    "stability": "per cent of explanations that name the same parts after the change",
    "label consistency": "per cent of units that fire on one label",
    "explanation stability": "overlap of the units shown before and after the change",
    "unit correctness": "rank correlation of claims with what the answer loses without each unit; chance is 0",
    "unit curves": "area between insertion and deletion of units in the order claimed; chance is 0",
    "sufficiency": "fewest units that keep the answer",
    "inherent_interpretability": "share of the accuracy that the largest contributions alone keep, over sparsity",
    "same answer": "inputs with the same units shown that are answered alike",
    "purity": "share of a unit's ten strongest patches that show one part",
    "misalignment": "per cent of a unit's strength lost to changes outside the place it marks",
    "part interventions": "answers that stay with the parts named, and change without them",
    "concept accuracy": "share of known concepts judged rightly, mean over concepts",
    "interventions": "mean accuracy while concept groups are corrected one by one",
    "leakage": "accuracy above (+) or below what a head finds in the true concepts (ceiling)",
    "map complexity": "Gini index of the evidence over the input; 0 is spread evenly",
    "map localisation": "share of the evidence that falls on annotated parts",
    "map sensitivity": "how far the map moves when the input moves a little",
    "map deletion": "area under the answer as the strongest evidence is deleted; low is good",
    "road": "accuracy with the weakest evidence imputed less that with the strongest; chance is 0",
    "infidelity": "how badly the map foretells changes of the logit; 0 is exact",
    "sensitivity n": "correlation of summed evidence and what the logit loses without it",
    "mprt": "likeness to the map of a model that forgot what it learnt; low is good",
    "dissection": "share of units that detect an annotated part",
    "nats per token": "mean loss over all positions of the test sequences",
    "floor": "the least loss that is possible",
    "gap to floor": "loss less that of the true chances, on the same sequences",
    "token accuracy": "share of all positions of the test sequences whose next token is guessed",
    "transition accuracy": "share of possible transitions in sampled sequences",
    "dead units": "share of units that never fire",
    "detectors": "right alarms of the unit that tells each property best, mean over properties",
    "board coverage": "F1 of the unit that tells each property best, mean over properties",
    "board reconstruction": "F1 of all properties of a board that active units are signs of",
    "legal moves": "share of likeliest next moves that are legal",
    "legal moves sampled": "of those drawn at temperature 1",
    "sequence accuracy": "share of sequences answered rightly throughout",
    "accuracy at length": "share of the answers to sequences of so many words that are right",
    "precision of spans": "share of the spans given that are right: beginning, end and kind",
    "recall of spans": "share of the true spans that are found",
    "F1 of": "harmonic mean of precision and recall of spans",
    "F1 up to": "the same in sentences of up to so many words; published figures leave longer ones out",
    "F1 by word alone": "the same of each word's most frequent tag in training",
    "first transition": "share of true successors among the likeliest after one state",
}
DETAILED = (
    "zoo-concepts",
    "zoo-interventions",
    "zoo-leakage",
    "zoo-detectors",
    "karvonen2024",
)  # whose further read-outs have lines of their own
CHANCE = ("chance", "random", "area")  # read-outs that say what chance gives


def table(results: Mapping[str, Result]) -> list[ScoreRow]:
    """Results as lines, each with what it means; intervals of 95 % in brackets."""
    rows = []
    for r in results.values():
        name = r.name.replace("_", " ")
        rows.append(ScoreRow(name, _text(r), r.protocol, _note(name, r)))
        if r.protocol.startswith(DETAILED):
            rows += _details(r.more)
        else:
            sure = [key for key in r.more if f"{key} low" in r.more]
            rows += [ScoreRow(f"· {key}", f"{r.more[key]:.4g}{_ends(key, r.more)}", "", "") for key in sure]
    return rows


def _note(name: str, r: Result) -> str:
    if r.note and r.value is not None:
        return r.note
    if "(random weights" in name:
        return "the same of the model before it learnt anything"
    if "(random" in name:
        return "the same of units that look at random places"
    if " above chance " in name:
        told = [
            f"{key} {r.more[key]:.3g}, by chance {r.more[f'{key} chance']:.3g}"
            + (f" (p {r.more[f'{key} p']:.2g})" if f"{key} p" in r.more else "")
            for key in r.more
            if f"{key} chance" in r.more
        ]
        return "1 is perfect, 0 what chance gives; " + "; ".join(told) if told else ""
    known = [key for key in MEANING if name == key or name.startswith(f"{key} ")]
    meaning = MEANING[max(known, key=len)] if known else ""
    chance = [f"; by chance {r.more[key]:.3g}" for key in CHANCE if key in r.more and "chance is 0" not in meaning]
    return meaning + "".join(chance)


def _ends(key: str, more: Mapping[str, float]) -> str:
    return f" [{more[f'{key} low']:.3g}, {more[f'{key} high']:.3g}]"


def _details(more: Mapping[str, float]) -> list[ScoreRow]:
    """A line for each read-out; those of one policy (its area, spread, gain and groups) share a line."""
    rows = []
    for key, value in more.items():
        if key.rsplit(" ", 1)[0] in more and key.endswith((" spread", " gain", " groups")):
            continue
        spread, gain = more.get(f"{key} spread"), more.get(f"{key} gain")
        text = f"{value:.4g}" if spread is None else f"{value:.3f} ± {spread:.3f}"
        note = "" if gain is None else f"{gain:.0%} of the possible gain; 95 % of it after {more[f'{key} groups']:.0f}"
        rows.append(ScoreRow(f"· {key.replace('_', ' ')}", text, "", note))
    return rows


def _text(r: Result) -> str:
    if r.value is None:
        return r.note or "n/a"
    text = f"{r.value:.2e}" if 0 < abs(r.value) < 1e-3 else f"{r.value:.4g}"
    own = [
        key.removesuffix(" low") for key in r.more if key.endswith(" low") and key.removesuffix(" low") not in r.more
    ]
    return text + "".join(_ends(key, r.more) for key in own)
