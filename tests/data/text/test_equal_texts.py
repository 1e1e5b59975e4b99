"""Equal texts: numbers, components of two partitions by hand, and the counts that are logged."""

import logging

import torch

from zoo.data.text._equal_texts import join_groups, number_texts, report_equal_texts

TEXTS = ["Fine day", "dull", "fine  day ", "DULL", "alone", "dull"]


def test_texts_that_differ_in_case_and_spaces_are_one():
    assert number_texts(TEXTS).tolist() == [0, 1, 0, 1, 2, 1]


def test_a_group_joins_the_texts_of_its_members():
    group = torch.tensor([5, 5, 6, 7, 8, 9])  # records 0 and 1 are of one author, so that both texts are joined
    joined = join_groups(number_texts(TEXTS), group).tolist()
    assert len({joined[i] for i in (0, 1, 2, 3, 5)}) == 1
    assert joined[4] != joined[0]
    assert torch.equal(join_groups(torch.tensor([3, 1]), None), torch.tensor([3, 1]))


def test_what_is_reported(caplog):
    same, y = number_texts(TEXTS), torch.tensor([0, 1, 0, 0, 1, 1])
    with caplog.at_level(logging.INFO, logger="zoo"):
        report_equal_texts(same, y, {"train": torch.tensor([0, 1, 3]), "test": torch.tensor([2, 4, 5])})
        report_equal_texts(torch.arange(3), y[:3], {"train": torch.arange(3)})
    assert [record.getMessage() for record in caplog.records] == [
        "5 texts are equal to another but for case and spaces; 1 of them have different labels, 2 are in several of the"
        " given splits"
    ]
