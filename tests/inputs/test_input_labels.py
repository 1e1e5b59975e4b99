"""One rule for labels; names of other data are matched with the model's in any order, or refused with all names."""

import pytest

from zoo.inputs.labels import class_names_of, compare_names, label_key, order_by_name, order_labels


def test_one_rule():
    assert {label_key(label) for label in ("01", "1", "1.0", "+1", " 1 ", "1.")} == {"1"}
    assert {label_key(label) for label in ("TRUE", "True", "true")} == {"true"}
    assert {label_key(label) for label in ("Ill", "ill", "ILL")} == {"Ill", "ill", "ILL"}
    assert label_key("1.5") == "1.5"
    assert label_key("-0") == "0"
    assert label_key("Cafe\u0301") == label_key("Caf\u00e9")


def test_class_names():
    assert class_names_of(["10", "9", "09"]) == (("9", "10"), ["labels '9', '09' are one class"])
    assert class_names_of(["TRUE", "True", "False"]) == (("False", "TRUE"), ["labels 'TRUE', 'True' are one class"])
    assert class_names_of(["b", "A", "a"]) == (("A", "a", "b"), [])
    assert class_names_of(["01", "A3"]) == (("01", "A3"), [])
    assert order_labels(["10", "9", "b", "-1"]) == ["-1", "9", "10", "b"]


def test_order_never_matters():
    assert compare_names(["a", "b"], ["b", "a"], "classes") == []
    assert compare_names(["1", "2"], ["02", "1.0"], "classes") == []
    assert order_by_name(["fever", "cough"], ["cough", "fever"], "concepts") == [1, 0]
    assert order_by_name(["Caf\u00e9"], ["Cafe\u0301"], "parts") == [0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["ill", "a_well"], r"missing 'well'; additional 'a_well'; perhaps renamed: 'well' to 'a_well'.*'ill', 'well'"),
        (["ill"], r"missing 'well'\)"),
        (["ill", "well", "dead"], r"\(additional 'dead'\)"),
        (["ILL", "WELL"], r"perhaps renamed: .*'ill' to 'ILL'"),
    ],
)
def test_other_names_are_refused_with_all_of_them(given, message):
    with pytest.raises(ValueError, match=message):
        compare_names(["ill", "well"], given, "classes")


def test_part_of_the_classes():
    assert compare_names(["ill", "well"], ["ill"], "classes", partial=True) == ["classes without a sample: 'well'"]
    with pytest.raises(ValueError, match="additional 'x'"):
        compare_names(["ill", "well"], ["x"], "classes", partial=True)


def test_order_by_name_refuses_renamed():
    with pytest.raises(ValueError, match=r"the concepts are not the model's .*'cough' to 'coughs'"):
        order_by_name(["fever", "cough"], ["coughs", "fever"], "concepts")
