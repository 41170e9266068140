"""What a grid will cost."""

import pytest

from fedgenbench.plan.forecast import block_seconds, forecast, seconds
from fedgenbench.plan.grid import Grid

FASHION, ONE_SHOT = "fashion_mnist-10", "emoji_domains-oneshot"


@pytest.fixture
def grid(load_raw):
    def build(content):
        _, scales = load_raw(content)
        return Grid(scales["embedded"], scales["paper"])

    return build


def test_the_forecast_grows_with_the_work(raw, grid):
    before = grid(raw)
    raw["experiments"][FASHION]["rounds"] *= 2
    after = grid(raw)
    one, two = before.of_kind("federate")[0], after.of_kind("federate")[0]
    start = before.settings.forecast.start_seconds
    assert one.experiment == FASHION
    assert seconds(before, one) > start
    assert seconds(after, two) - start == pytest.approx(2 * (seconds(before, one) - start), rel=0.1)


def test_a_server_that_learns_costs_its_rounds(raw, grid):
    raw["forecast"]["server_seconds"] = {"pfedgpa": 7.0, "pfedgpa_own": 1.0}
    with_server = grid(raw)
    raw["forecast"]["server_seconds"] = {}
    rounds = with_server.settings.experiments[FASHION].rounds
    more = {
        run.name: seconds(with_server, run) - seconds(grid(raw), run)
        for run in with_server.of_kind("federate")
        if run.key
        in {
            f"{FASHION}/{row}/seed0" for row in ("fedavg", "pfedgpa", "pfedgpa_own", "pfedgpa_mean")
        }
    }
    expected = {"fedavg": 0, "pfedgpa": 7, "pfedgpa_own": 1, "pfedgpa_mean": 7}
    assert more == pytest.approx({name: each * rounds for name, each in expected.items()})


def test_the_forecast_is_a_table_with_a_row_per_experiment(raw, grid):
    whole = grid(raw)
    lines = forecast(whole).splitlines()
    assert [line.split()[0] for line in lines] == ["experiment", *whole.settings.experiments, "all"]
    minutes = [float(line.split()[-1]) for line in lines[1:]]
    assert minutes[-1] == pytest.approx(sum(minutes[:-1]), abs=0.05 * len(minutes))
    assert all(minute > 0 for minute in minutes)
    runs, jobs = map(int, lines[-1].split()[1:3])
    assert (runs, jobs) == (len(whole.of_kind("federate")), len(whole.jobs))


def test_the_forecast_grows_with_images_and_rivals(raw, grid):
    block = raw["experiments"][ONE_SHOT]["fedlmg"]

    def cost():
        return block_seconds(grid(raw), ONE_SHOT, "fedlmg")

    before = cost()
    for name in (ONE_SHOT, "emoji_domains-labels", "emoji_domains-mixed"):
        raw["experiments"][name]["fedlmg"]["rivals"] = None
    raw["scales"] = {}  # which change what is left out
    without = cost()
    block["per_class"] = 20
    assert without < before
    assert cost() > without


def test_an_experiment_without_a_block_costs_nothing_there(raw, grid):
    assert block_seconds(grid(raw), FASHION, "fedlmg") == 0.0
