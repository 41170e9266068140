from fedgenbench.report.answers import Answer
from fedgenbench.report.statistics import Interval

UP, DOWN = Interval(0.02, 0.01, 0.03, 3), Interval(-0.05, -0.07, -0.03, 3)


def answer(carrying, **beside):
    pairs = [(f"{{}} from {name}", differences) for name, differences in beside.items()]
    return Answer.of("Is it?", carrying, "It moves it by {}.", pairs, lead="It is ")


def test_what_stands_beside_is_of_the_places_that_are_named():
    shown = answer({"A": UP, "B": None}, local={"A": DOWN, "B": UP}, fedavg={"B": UP})
    assert (shown.answer, shown.tone, shown.symbol) == ("yes", "good", "✔")
    assert shown.text == (
        "It moves it by +2.0 ± 1.0 points (A; 3 seeds). It is −5.0 ± 2.0 points from local."
    )


def test_numbers_of_some_of_several_places_name_theirs():
    shown = answer({"A": UP, "B": DOWN}, local={"A": DOWN, "B": UP}, fedavg={"B": UP})
    assert shown.text.endswith(
        "It is −5.0 ± 2.0 and +2.0 ± 1.0 points from local "
        "and +2.0 ± 1.0 points (B; 3 seeds) from fedavg."
    )


def test_without_the_comparison_there_is_no_answer():
    shown = answer({"A": None}, local={"A": UP})
    assert (shown.answer, shown.text) == (
        "not run here",
        "No run of it stands beside its baseline.",
    )
