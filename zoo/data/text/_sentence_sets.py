"""Public sets of labeled sentences by name: their files below the data root, columns and classes."""

from __future__ import annotations

from typing import Any

SETS: dict[str, dict[str, Any]] = {
    "sst2": {
        "folder": "sst2",
        "files": ("train.tsv.gz", "dev.tsv.gz", "test.tsv.gz"),
        "label": "label",
        "label_names": {"0": "negative", "1": "positive"},
        "license": "Stanford Sentiment Treebank (Socher et al., EMNLP 2013), for research",
    },
    "sst5": {
        "folder": "sst5",
        "files": ("train.tsv.gz", "dev.tsv.gz", "test.tsv.gz"),
        "label": "label",
        "label_names": {"0": "very negative", "1": "negative", "2": "neutral", "3": "positive", "4": "very positive"},
        "license": "Stanford Sentiment Treebank (Socher et al., EMNLP 2013), for research",
    },
    "trec6": {
        "folder": "trec6",
        "files": ("train.tsv.gz", "", "test.tsv.gz"),
        "label": "coarse",
        "license": "University of Illinois (Li and Roth, COLING 2002), for research",
    },
    "ag_news": {  # the training file is not here: half of the test file is held out
        "folder": "ag_news",
        "files": ("test7600.tsv.gz", "", ""),
        "text": ["title", "text"],
        "label": "label(1=World,2=Sports,3=Business,4=Sci/Tech)",
        "label_names": {"1": "World", "2": "Sports", "3": "Business", "4": "Sci/Tech"},
        "test": 0.5,
        "license": "AG's corpus of news articles, for non-commercial use",
    },
    "cebab": {
        "folder": "cebab",
        "files": ("train_exclusive.tsv.gz", "dev.tsv.gz", "test.tsv.gz"),
        "label": "review_majority",
        "skip_labels": ["no majority"],
        "group": "original_id",
        "concept_columns": ["food", "ambiance", "service", "noise"],
        "concept_unknown": ["no majority"],
        "concept_missing": "unknown",
        "license": "CEBaB v1.1 (Abraham et al., NeurIPS 2022), CC BY 4.0",
    },
}
SETS["generated_reviews"] = {  # needs no files
    "folder": "",
    "files": ("", "", ""),
    "label": "label",
    "text": ["text"],
    "label_names": {"bad": "bad", "mixed": "mixed", "good": "good"},
    "concept_columns": ["food", "service", "noise"],
    "license": "generated, no restrictions",
}
SETS["cebab_inclusive"] = {**SETS["cebab"], "files": ("train_inclusive.tsv.gz", "dev.tsv.gz", "test.tsv.gz")}
