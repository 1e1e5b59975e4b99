"""File names of the pages of one input: safe on every file system, short enough, and different for different inputs."""

import itertools
import re

from zoo.evaluation.single_input import file_name

HOSTILE = [
    "scans/12.png",
    "/data/scans/12.png",
    "../../etc/passwd",
    "age=50, sex=male",
    "age=-1",
    "age=1",
    "x<3",
    "x>3",
    "a\\b:c*d?e|f\"g'h",
    "two\nlines\r\tand a tab",
    "$(rm -rf ~); `id` & echo %PATH%",
    "\x00\x07\x1b[31m",
    "\udcff undecodable",
    "...",
    "",
    "   ",
    "?",
    "!",
    "猫" * 200,
    "猫" * 201,
    "word " * 100 + "a",
    "word " * 100 + "b",
]


def test_names_are_plain_and_short():
    for name in HOSTILE:
        result = file_name(name)
        assert re.fullmatch(r"[\w-][\w.-]*", result), (name, result)
        assert len(result.encode()) <= 140
        assert file_name(name) == result


def test_different_inputs_have_different_pages():
    for a, b in itertools.combinations(HOSTILE, 2):
        if {a, b} != {"", "   "}:
            assert file_name(a) != file_name(b), (a, b)


def test_a_page_of_the_longest_name_can_be_written(tmp_path):
    for name in HOSTILE:
        (tmp_path / f"protopnet-digits-{file_name(name)}-set.html").write_text("")
    assert len(list(tmp_path.iterdir())) == len({file_name(name) for name in HOSTILE})


def test_names_of_samples_stay_readable():
    assert file_name("digits-0047") == "digits-0047"
    assert file_name("The food was great, but cold.") == "The_food_was_great_but_cold"
    assert file_name("/data/scans/12.png") == "data-scans-12.png"
    assert file_name("town=Zürich") == "town-Zürich"
