"""What a scale changes against the paper scale."""

from fedgenbench.plan.differences import differences_from_paper

FASHION = "fashion_mnist-10"


def test_differences_name_a_setting_and_both_values(raw, load_raw):
    _, scales = load_raw(raw)
    rows = differences_from_paper(scales["embedded"], scales["paper"])
    values = {(row["experiment"], row["setting"]): (row["here"], row["paper"]) for row in rows}
    here = scales["embedded"].experiments[FASHION].rounds
    there = scales["paper"].experiments[FASHION].rounds
    assert values[FASHION, "rounds"] == (str(here), str(there))
    assert differences_from_paper(scales["paper"], scales["paper"]) == []


def test_an_experiment_that_the_paper_scale_lacks_has_no_differences(raw, load_raw):
    raw["scales"] = {
        "smoke": {"experiments": {"extra": raw["experiments"][FASHION] | {"title": "E"}}}
    }
    _, scales = load_raw(raw)
    assert "extra" in scales["smoke"].experiments
    rows = differences_from_paper(scales["smoke"], scales["paper"])
    assert not [row for row in rows if row["experiment"] == "extra"]
