from math import sqrt

import matplotlib
import pandas as pd
import pytest
import synthetic_pfedgpa

from fedgenbench.report import figures
from fedgenbench.systems.pfedgpa import tables as pfedgpa_tables
from fedgenbench.systems.pfedgpa.figures import figures as pfedgpa_figures
from fedgenbench.systems.pfedgpa.numbers import by_round, played
from fedgenbench.systems.pfedgpa.section import section
from fedgenbench.systems.pfedgpa.section import text as pfedgpa_text
from fedgenbench.systems.pfedgpa.size_tables import cost_table, gain_table

# Half the 95 % t-interval of 0.2, 0 and −0.2 points: t(0.975, 2) = 4.302653.
HALF = 4.302653 * 0.2 / sqrt(3)


@pytest.fixture(scope="module")
def grid():
    return synthetic_pfedgpa.results()


@pytest.fixture(scope="module")
def tables(grid):
    return {table.id: table for table in pfedgpa_tables.tables(grid)}


@pytest.fixture(scope="module")
def drawn(grid):
    return {figure.id: figure for figure in pfedgpa_figures(grid)}


def cells(table, row, group=None):
    """Texts of a row by column label; of the first such row, or of the one in ``group``."""
    found = next(r for r in table.rows if r.label == row and group in (None, r.group))
    return {c.label: cell.text for c, cell in zip(table.columns, found.cells, strict=True)}


def texts(figure):
    return {text.get_text() for text in figure.drawing.findobj(matplotlib.text.Text)}


def test_tables_in_the_order_of_the_report(tables):
    assert list(tables) == [
        *("pfedgpa_main", "pfedgpa_worth", "pfedgpa_gain", "pfedgpa_cost", "pfedgpa_rounds"),
        *("pfedgpa_ablations", "pfedgpa_diagnostics", "pfedgpa_oneshot", "pfedgpa_fits"),
        *("pfedgpa_density", "pfedgpa_newcomers", "pfedgpa_guidance", "tuning"),
    ]


def test_what_was_not_run_leaves_no_table_and_no_figure():
    empty = pd.DataFrame(
        columns=["experiment", "method", "seed", "round", "name", "client", "value"]
    )
    grid = synthetic_pfedgpa.results(studies=False, server=empty)
    ids = [table.id for table in pfedgpa_tables.tables(grid)]
    assert ids[-2:] == ["pfedgpa_ablations", "tuning"]
    assert pfedgpa_figures(grid) == []
    fields = grid.select(methods=["local", "fedavg"])
    assert [table.id for table in pfedgpa_tables.tables(fields)] == ["tuning"]
    assert pfedgpa_text(fields) == "pFedGPA has not been run at this scale."


def test_what_was_not_run_has_no_column_and_is_listed_with_its_command(tables, grid):
    table = tables["pfedgpa_main"]
    assert [(c.group, c.label) for c in table.columns] == [
        ("Fashion-MNIST", "10 clients"),
        ("CIFAR-10", "10 clients"),
    ]
    assert not any(row.group == "Variants" for row in table.rows)
    assert [row.label for row in table.rows if row.cells[0].bold] == ["FedPAC"]
    titles = [entry["title"] for entry in section(grid, ()).absent]
    assert "EMNIST, 20 clients" in titles


def test_models_tell_experiments_apart_that_share_data_and_clients():
    experiments = dict(synthetic_pfedgpa.EXPERIMENTS)
    experiments["cifar10-10"] = experiments["fashion_mnist-10"] | {"title": "MLP", "model": "mlp"}
    table = pfedgpa_tables.main_table(synthetic_pfedgpa.results(experiments=experiments, absent={}))
    assert [c.label for c in table.columns] == ["10 clients, fedpac_cnn", "10 clients, mlp"]


def test_by_round_averages_clients_and_counts_own_uploads(grid):
    frame = by_round(grid, "fashion_mnist-10", "pfedgpa").loc[(1, 6)]
    assert frame["trained"] == pytest.approx(0.82)
    assert frame["start"] == pytest.approx(0.805)
    assert frame["generated"] == pytest.approx(0.79)
    assert frame["moved"] == pytest.approx(0.35)  # of 0.2, 0.3, 0.4, 0.5
    assert frame["own"] == 0.75  # three of four
    assert frame["held_out_loss"] == 0.9


def test_what_generation_is_worth(tables):
    table = tables["pfedgpa_worth"]
    assert cells(table, "pFedGPA") == {
        **{"Received": "80.5 ± 2.0", "Trained": "82.0 ± 2.0", "Generated": "79.0 ± 2.0"},
        **{"pFedGPA's lead": "n/a", "Moved": "35.0 ± 0.0", "Own nearest": "75.0 ± 0.0"},
        "Overlap": "60.0 ± 0.0",
    }
    noise = cells(table, "own upload with noise")
    assert (noise["pFedGPA's lead"], noise["Overlap"]) == ("+0.8 ± 0.5", "60.0 ± 0.0")
    # 0.82 against 0.81: one point, and on CIFAR-10 three quarters of it.
    own = next(row for row in table.rows if row.id == "pfedgpa_own").cells[3]
    assert own.text == "+1.0 ± 0.5"
    assert own.interval.mean == pytest.approx(1.0)
    assert own.interval.half == pytest.approx(HALF, rel=1e-5)
    other = cells(table, "own upload (local training)", "CIFAR-10, 10 clients")
    assert other["pFedGPA's lead"] == "+0.7 ± 0.5"
    assert cells(table, "FedAvg mean")["pFedGPA's lead"] == "−2.0 ± 0.5"


def test_variants_against_the_main_setting(tables):
    table = tables["pfedgpa_ablations"]
    assert cells(table, "start at 1000") == {
        **{"Trained": "81.8 ± 2.5", "− main": "−0.2 ± 0.5"},
        **{"Generated": "78.8 ± 2.5", "Moved": "35.0 ± 0.0"},
    }
    assert cells(table, "pFedGPA")["− main"] == "n/a"
    assert not any("FedProx" in row.label for row in table.rows)


def test_gain_names_the_best_other(tables, grid):
    assert cells(tables["pfedgpa_gain"], "Fashion-MNIST, 10 clients") == {
        **{"Clients": "10", "pFedGPA": "82.0 ± 2.0", "Local": "+2.0 ± 0.5"},
        **{"own upload": "+1.0 ± 0.5", "with noise": "+0.8 ± 0.5"},
        **{"FedAvg + FT": "−2.0 ± 0.5", "best other": "−3.0 ± 0.5", "Best other": "FedPAC"},
    }
    experiments = {e: v | {"generated_weights": 117066} for e, v in grid.experiments.items()}
    sized = gain_table(synthetic_pfedgpa.results(experiments=experiments))
    assert cells(sized, "CIFAR-10, 10 clients")["Weights"] == "117,066"


def test_an_experiment_beside_another_one_is_in_the_table_of_leads_and_in_no_other(grid):
    beside = {e: v | {"role": "scale"} for e, v in grid.experiments.items() if e == "cifar10-10"}
    results = synthetic_pfedgpa.results(experiments=grid.experiments | beside)
    tables = {table.id: table for table in pfedgpa_tables.tables(results)}
    assert [row.id for row in tables["pfedgpa_gain"].rows] == ["fashion_mnist-10", "cifar10-10"]
    assert {row.group for row in tables["pfedgpa_worth"].rows} == {"Fashion-MNIST, 10 clients"}


def test_server_time_stands_beside_saved_rounds(tables, grid):
    # 52 seconds with generation, 40 without, in six rounds. FedAvg + FT reaches its end in round 6,
    # pFedGPA, two points below, in none.
    assert cells(tables["pfedgpa_cost"], "Fashion-MNIST, 10 clients") == {
        **{"All clients": "6.67 ± 0.00", "Server": "2.00 ± 0.00"},
        **{"Saved": "−1.0 ± 0.0", "Pays above": "never"},
    }
    assert all(column.measured for column in tables["pfedgpa_cost"].columns)
    rounds = grid.rounds.copy()
    rounds.loc[rounds["method"] == "pfedgpa", "value"] += 0.05  # there in round 4, and saves two
    faster = cost_table(synthetic_pfedgpa.results(rounds=rounds))
    assert cells(faster[0], "Fashion-MNIST, 10 clients")["Pays above"] == "6"
    assert cost_table(grid.select(methods=["pfedgpa", "fedavg_ft"])) == []


def test_rounds_to_targets_that_do_not_look_at_pfedgpa(tables, grid):
    rows = {row.id: [cell.text for cell in row.cells] for row in tables["pfedgpa_rounds"].rows}
    # Two points from one evaluation to the next. Fashion-MNIST: 0.81, 0.83, 0.85 against Local's 0.80.
    assert rows["fedpac"][0] == "2.0 ± 0.0"
    # CIFAR-10: 0.5825, 0.6025, 0.6225 against Local's 0.60 and 0.6075, 90 % of the pooled 0.675.
    assert rows["fedrep"][2:] == ["4.0 ± 0.0", "6.0 ± 0.0"]
    assert rows["fedavg"] == ["> 6"] * 4
    assert "local" not in rows
    rounds = grid.rounds.copy()
    rounds.loc[(rounds["method"] == "pfedgpa") & (rounds["seed"] == 2), "value"] -= 0.05
    again = pfedgpa_tables.rounds_table(synthetic_pfedgpa.results(rounds=rounds))
    assert cells(again, "pFedGPA")["Local"] == "> 6 in 1 of 3"


def test_diagnostics_of_the_last_round(tables):
    table = tables["pfedgpa_diagnostics"]
    assert cells(table, "pFedGPA") == {
        **{"Change": "1.0 ± 0.0", "Moved": "35.0 ± 0.0", "Own nearest": "75.0 ± 0.0"},
        **{
            "Gap": "0.25 ± 0.00",
            "Overlap": "60.0 ± 0.0",
            "Kept": "97.0 ± 0.0",
            "Unseen error": "95.0 ± 0.0",
        },
        **{"in use": "0.40 ± 0.00", "seen": "0.45 ± 0.00", "unseen": "0.90 ± 0.00"},
    }
    assert cells(table, "η = 1 (literal)")["Moved"] == "0.0 ± 0.0"
    assert not any(row.id == "pfedgpa_own" for row in table.rows)


def test_rules_of_the_one_shot_study(tables):
    table = tables["pfedgpa_oneshot"]
    row = next(row for row in table.rows if row.id == "conv-dpm_encoder-0.5-1000")
    # η = 0.5 from 1000 pulls by 0.45: 80 − 4.5, 80 + 1.35, and 1.35 points over the upload.
    assert [cell.text for cell in row.cells] == [
        *("0.5", "1000", "75.5 ± 2.5", "81.3 ± 2.5", "+1.3 ± 0.0"),
        *("45.0 ± 0.0", "100.0 ± 0.0", "100.0 ± 0.0", "77.5 ± 0.0"),
        *("77.8 ± 2.5", "91.0 ± 0.0"),
    ]
    assert [row.label for row in table.rows[:2]] == ["own upload, unchanged", "FedAvg mean"]
    assert cells(table, "FedAvg mean")["Own nearest"] == "25.0 ± 0.0"
    settings = {row.label: [cell.text for cell in row.cells[:2]] for row in table.rows}
    assert settings["SDEdit"] == ["", "100"]
    assert settings["mean code"] == settings["own upload, unchanged"] == ["", ""]
    assert settings["mean of own stored uploads"] == ["", ""]
    fits = tables["pfedgpa_fits"]
    assert [row.label for row in fits.rows] == ["linear", "conv"]
    assert [cell.text for cell in fits.rows[0].cells[:5]] == [
        *("90.0 ± 0.0", "88.0 ± 0.0", "97.8 ± 0.0", "80.0 ± 0.0", "79.0 ± 0.0")
    ]


def test_how_many_uploads_the_density_takes(tables):
    rows = tables["pfedgpa_density"].rows
    assert [row.label for row in rows] == ["Fashion-MNIST, 10 clients: linear"] * 2
    assert [[cell.text for cell in row.cells] for row in rows] == [
        ["1", "9", "0.45 ± 0.00", "0.90 ± 0.00", "2.00 ± 0.00", "45.0 ± 0.0"],
        ["3", "27", "0.45 ± 0.00", "0.60 ± 0.00", "1.33 ± 0.00", "30.0 ± 0.0"],
    ]


def test_newcomers_in_the_main_setting(tables):
    table = tables["pfedgpa_newcomers"]
    trained, made = (
        f"Fashion-MNIST, 10 clients: {stage}"
        for stage in ("after local training", "right after generation")
    )
    assert list(cells(table, "guided", trained).values()) == [
        *("10.0 ± 2.5", "55.0 ± 2.5", "58.0 ± 2.5", "61.0 ± 2.5", "64.0 ± 2.5")
    ]
    assert list(cells(table, "guided", made).values()) == [
        *("n/a", "53.0 ± 2.5", "56.0 ± 2.5", "59.0 ± 2.5", "n/a")
    ]
    assert not any(row.group == made and row.label == "from scratch" for row in table.rows)


def test_strength_and_sign_of_guidance(tables):
    table = tables["pfedgpa_guidance"]
    found = {row.id: [cell.text for cell in row.cells] for row in table.rows}
    assert found["guided-5-3"] == [
        *("5", "3", "58.0 ± 2.5", "64.0 ± 2.5", "69.0 ± 2.5", "+10.0 ± 0.0")
    ]
    assert found["guided_printed-20-3"][-1] == "−8.0 ± 0.0"
    assert found["unguided-5-nan"][:2] == ["5", ""]
    assert len(found) == 2 * (1 + 3 * 3)


def test_tuning_names_the_highest_in_words(tables):
    table = tables["tuning"]
    assert table.notes[0] == (
        "Highest on Fashion-MNIST, validation: FedProx, μ = 0.1, significantly so."
    )
    alone = pfedgpa_tables.tuning_table(synthetic_pfedgpa.results(seeds=1))
    assert alone.notes[0].endswith("FedProx, μ = 0.1, not significantly so.")
    assert not any(cell.bold for row in alone.rows for cell in row.cells)


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        (
            {},
            [
                "moved a client's weights by 35 ± 0 % of",
                "then scored −3.0 ± 0.0 points against what they had sent, before any new "
                "training, significantly less.",
                "Here sending FedAvg's mean would do better than generation.",
            ],
        ),
        (
            {"hollow": True},
            [
                "Here generation is hollow: it hands back the uploads almost unchanged",
            ],
        ),
        (
            {"seeds": 1},
            [
                "Whether generation is worth anything cannot be said from these runs.",
            ],
        ),
    ],
)
def test_the_text_says_what_the_runs_show(changes, sentences):
    text = pfedgpa_text(synthetic_pfedgpa.results(**changes))
    assert text.count("\n\n") == 2
    for sentence in sentences:
        assert sentence in text


@pytest.mark.parametrize(
    ("changes", "word", "effects"),
    [
        ({}, "yes", ["+1.0 ± 0.5", "+0.7 ± 0.5", "−2.0 ± 0.5"]),
        ({"hollow": True}, "not decided", ["+0.0 ± 0.5"]),
        ({"seeds": 1}, "not decided", ["−1.8"]),
    ],
)
def test_the_answer_is_what_the_runs_show(changes, word, effects):
    page = section(synthetic_pfedgpa.results(**changes), ())
    assert page.answer.answer == word
    (forest,) = page.forests
    assert set(effects) <= {effect.text for effect in forest.effects}
    assert page.answer.text.startswith("Generation moves personalised accuracy by ")


def test_a_gain_is_told_only_where_both_simpler_runs_are_beaten(grid):
    scores = grid.scores.copy()
    scores.loc[scores["method"] == "pfedgpa", "value"] += 0.05
    text = pfedgpa_text(synthetic_pfedgpa.results(scores=scores))
    assert text.count("Here generation is worth more than both.") == 2
    scores.loc[scores["method"] == "pfedgpa", "value"] -= 0.03  # now level with the mean
    text = pfedgpa_text(synthetic_pfedgpa.results(scores=scores))
    assert "So these runs show no gain of generation over sending FedAvg's mean." in text


def test_figures_name_what_they_draw(drawn):
    assert list(drawn) == [
        *("pfedgpa_diagnostics_cifar10-10", "pfedgpa_diagnostics_fashion_mnist-10"),
        *("pfedgpa_eta_fashion_mnist-10", "pfedgpa_newcomers_fashion_mnist-10"),
    ]
    _, diagnostics, eta, late = drawn.values()
    assert {"pFedGPA, trained", "generated", "own upload", "FedAvg mean"} <= texts(diagnostics)
    assert "It copies where the gap is 0." in diagnostics.caption
    assert {"start 300", "start 1000", "After local training, conv"} <= texts(eta)
    assert {"from scratch", "guided", "guided, 20 steps", "printed sign, 5 steps"} <= texts(late)


def test_lines_are_the_means_over_seeds(drawn):
    accuracy = drawn["pfedgpa_diagnostics_fashion_mnist-10"].drawing.axes[0]
    lines = [line.get_ydata().tolist() for line in accuracy.lines]
    assert pytest.approx([78, 80, 82]) in lines  # trained
    assert pytest.approx([77, 79]) in lines  # generated, from the end of the warm-up on
    assert pytest.approx([77, 79, 81]) in lines  # the own upload in its place


def test_wide_intervals_leave_the_means_apart(grid):
    # Seeds lie ten points apart, so that intervals are wider than all means lie apart.
    weights = grid.weights.assign(value=grid.weights["value"] + 0.1 * grid.weights["seed"])
    eta = pfedgpa_figures(synthetic_pfedgpa.results(weights=weights))[2]
    # Means from 80 to 90 over the three seeds.
    assert eta.drawing.axes[0].get_ylim() == pytest.approx((75, 95))


def test_without_an_autoencoder_its_panel_is_left_out(grid):
    server = grid.server[~grid.server["name"].isin(["reconstructed", "reconstruction"])]
    figure = pfedgpa_figures(synthetic_pfedgpa.results(server=server, studies=False))[0]
    assert len(figure.drawing.axes) == 5
    assert "Autoencoder" not in texts(figure)


@pytest.mark.parametrize("seeds", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_equal_results_give_equal_bytes(tmp_path, seeds):
    for folder in ("a", "b"):
        for figure in pfedgpa_figures(synthetic_pfedgpa.results(seeds=seeds)):
            figures.emit(figure, tmp_path / folder)
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_tuning_is_no_experiment_of_the_section(grid):
    assert played(grid) == ["fashion_mnist-10", "cifar10-10"]
