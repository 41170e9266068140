"""FedLMG's tables, figures and words, from made-up reports whose numbers are known."""

import csv
from dataclasses import replace
from math import sqrt

import matplotlib
import numpy as np
import pytest
import synthetic_fedlmg
import synthetic_pfedgpa
import synthetic_warmfed

from fedgenbench.report import figures, table_formats
from fedgenbench.report.overview import provenance, what_ran
from fedgenbench.report.tables import apart
from fedgenbench.systems.fedlmg.figures import figures as fedlmg_figures
from fedgenbench.systems.fedlmg.measures import ServerRow
from fedgenbench.systems.fedlmg.numbers import (
    LABELS,
    SHIFTED,
    accuracies,
    architectures,
    beside_ablations,
    changed,
    experiments_of,
    fact,
    losses,
    similarity,
    sized,
    skipped_share,
)
from fedgenbench.systems.fedlmg.numbers import absent as absent_here
from fedgenbench.systems.fedlmg.published import fedlmg_published
from fedgenbench.systems.fedlmg.section import bullets as fedlmg_bullets
from fedgenbench.systems.fedlmg.section import section
from fedgenbench.systems.fedlmg.section import text as fedlmg_text
from fedgenbench.systems.fedlmg.tables import tables as fedlmg_tables
from fedgenbench.systems.field.figures import figures as field_figures
from fedgenbench.systems.field.tables import tables as field_tables
from fedgenbench.systems.pfedgpa import tables as pfedgpa_tables
from fedgenbench.systems.pfedgpa.section import text as pfedgpa_text
from fedgenbench.systems.warmfed.section import text as warmfed_text
from fedgenbench.systems.warmfed.tables import tables as warmfed_tables

PUBLISHED = fedlmg_published()
EMOJI = synthetic_fedlmg.EMOJI
# Half the 95 % t-interval of ±1 point with ±0.2 against it, and of ±1 point: t(0.975, 2) = 4.302653.
OWN, OTHER = 4.302653 * 0.8 / sqrt(3), 4.302653 * 1.0 / sqrt(3)


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fedlmg")
    pictures = synthetic_fedlmg.pictures(folder)
    return synthetic_fedlmg.results(folder / "reports", pictures=pictures)


@pytest.fixture(scope="module")
def made(grid):
    return {table.id: table for table in fedlmg_tables(grid)}


@pytest.fixture(scope="module")
def drawn(grid):
    return {figure.id: figure for figure in fedlmg_figures(grid)}


def cells(table, row, group=None):
    """Texts of a row, in the order of the columns; of the first such row, or of the one in ``group``."""
    found = next(r for r in table.rows if r.id == row and group in (None, r.group))
    return [cell.text for cell in found.cells]


# Numbers ----------------------------------------------------------------------------------------
def test_experiments_are_told_apart_by_what_is_skewed(grid):
    assert experiments_of(grid) == list(synthetic_fedlmg.MADE)
    assert experiments_of(grid, "feature skew") == [EMOJI]
    assert experiments_of(grid, "label skew") == ["emoji_domains-labels"]
    assert experiments_of(grid, "overlapping labels") == ["emoji_domains-overlap"]
    assert experiments_of(grid, "different architectures") == ["emoji_domains-mixed"]
    assert experiments_of(synthetic_warmfed.results()) == []


def test_accuracies_by_row_client_and_guidance(grid):
    assert accuracies(grid, EMOJI)["fedlmg_sd"].tolist() == pytest.approx([0.652, 0.66, 0.668])
    assert accuracies(grid, EMOJI, client=2).loc[1, "fedavg"] == pytest.approx(0.42)
    assert accuracies(grid, EMOJI, "no_editing").loc[1].to_dict() == pytest.approx(
        {"fedlmg_ft": 0.61, "fedlmg_sd": 0.65}
    )


def test_sizes_end_with_all_images(grid):
    table = sized(grid, EMOJI, "fedlmg_sd")
    assert table.loc[1].to_dict() == pytest.approx({1: 0.50, 2: 0.66})
    assert list(sized(grid, "emoji_domains-labels", "fedlmg_sd")) == [2]


def test_ablations_stand_beside_as_many_images(grid):
    assert beside_ablations(grid, EMOJI).loc[1].to_dict() == pytest.approx(
        {"fedlmg_ft": 0.62, "fedlmg_sd": 0.66, "prompts": 0.50}
    )
    entry = dict(grid.experiments[EMOJI])
    entry["fedlmg"] = entry["fedlmg"] | {"ablation_per_class": 1}
    fewer = replace(grid, experiments=grid.experiments | {EMOJI: entry})
    assert beside_ablations(fewer, EMOJI).loc[1].to_dict() == pytest.approx(
        {"fedlmg_ft": 0.48, "fedlmg_sd": 0.50, "prompts": 0.45}
    )
    table = {table.id: table for table in fedlmg_tables(fewer)}["fedlmg_ablations"]
    assert cells(table, "main")[0] == f"48.0 ± {OWN:.1f}"
    half = 4.302653 * 0.2 / sqrt(3)
    assert cells(table, "no_editing")[1] == f"-13.0 ± {half:.1f}".replace("-", "−")


def test_losses_facts_and_shares(grid):
    found = losses(grid, EMOJI, "cross_entropy")
    assert found.loc[2].tolist() == pytest.approx([3.2, 2.7, 2.2, 1.7, 1.2])
    assert losses(grid, EMOJI, "batch_norm", "no_editing").shape == (3, 3)
    assert fact(grid, EMOJI, "guided", "seconds_per_image", "prompts").tolist() == [0.1] * 3
    # One of 40 gradients of client 0 and none of the other two's.
    assert skipped_share(grid, EMOJI) == pytest.approx(1 / 120)
    assert similarity(grid, EMOJI).loc[0, "guided_distance"] == pytest.approx(2.0)


def test_ablations_are_named_by_what_they_change(grid):
    assert changed(grid, EMOJI, "no_batch_norm") == "without batch-norm loss (nor editing by it)"
    entry = dict(grid.experiments[EMOJI])
    entry["fedlmg"] = entry["fedlmg"] | {"ablations": {"lambda_1": {"batch_norm": 1.0}}}
    other = synthetic_warmfed.results(experiments=grid.experiments | {EMOJI: entry})
    assert changed(other, EMOJI, "lambda_1") == "λ = 1"
    entry["fedlmg"] |= {"ablations": {"other": {"editing_loss": "both", "editing_step": 0.25}}}
    assert changed(other, EMOJI, "other") == "editing_loss = both, η = 0.25"


def test_architectures_hold_their_clients(grid):
    assert architectures(grid, "emoji_domains-mixed") == {"mlp": [0, 2], "mini_vgg": [1]}


# Tables -----------------------------------------------------------------------------------------
def test_tables_in_the_order_of_the_report(made):
    assert list(made) == [
        "fedlmg_experiments",
        *(f"fedlmg_{name}" for name in synthetic_fedlmg.MADE if not name.endswith("many")),
        "fedlmg_clients",
        "fedlmg_ablations",
        "fedlmg_editing",
        "fedlmg_sizes",
        "fedlmg_unseen",
        "fedlmg_likeness",
        "fedlmg_uploads",
        "fedlmg_asked",
        "fedlmg_cost",
        "fedlmg_digests",
    ]


def test_feature_skew_in_the_published_layout(made):
    table = made[f"fedlmg_{EMOJI}"]
    assert [c.label for c in table.columns[:4]] == ["blob", "fluent", "noto", "Avg"]
    assert table.spans == [("Here", 4), ("Published (their data)", 4)]
    assert [c.label for c in table.columns[4:]] == [
        *("OpenImage", "DomainNet", "Unique NICO++", "Common NICO++")
    ]
    assert cells(table, "fedlmg_sd")[4:] == ["58.86", "35.90", "75.96", "58.16"]
    assert [row.id for row in table.rows] == [
        *(
            "random_guess",
            "own",
            "ceiling_head",
            "ceiling",
            "prompts",
            "fedavg",
            "fedprox",
            "feddyn",
            "feddf",
        ),
        *("dense", "fgl", "feddisc", "feddeo"),
        *("fedlmg_ft", "fedlmg_md", "fedlmg_sd"),
    ]
    assert cells(table, "random_guess") == ["25.0"] * 4 + ["n/a"] * 4
    assert cells(table, "own")[:4] == ["70.0 ± 0.0", "80.0 ± 0.0", "90.0 ± 0.0", "80.0 ± 0.0"]
    assert cells(table, "ceiling")[0] == f"78.0 ± {OTHER:.1f}"
    assert cells(table, "fedlmg_md")[:4] == [f"{v}.0 ± {OWN:.1f}" for v in (62, 64, 66, 64)]
    bold = {(row.id, n) for row in table.rows for n, cell in enumerate(row.cells) if cell.bold}
    assert bold == {("fedlmg_sd", n) for n in range(4)}  # the ceiling is higher, and a control
    assert "trained as FedLMG's is (whole)" in " ".join(table.notes)
    assert "Numbers at embedded scale are not the papers'." in table.notes


@pytest.mark.parametrize(
    ("dataset", "columns", "last", "said"),
    [
        ("DomainNet, 90 classes", 6, "47.87", "version 1, published, papers/fedlmg.md §1.1 (S2)"),
        ("DomainNet", 7, "35.90", "Table 1, published, papers/fedlmg_icml2025.yaml table1"),
    ],
)
def test_a_printed_table_stands_beside_ours_where_its_data_set_was_run(
    tmp_path, dataset, columns, last, said
):
    grid = synthetic_fedlmg.results(tmp_path, dataset=dataset)
    table = {table.id: table for table in fedlmg_tables(grid)}[f"fedlmg_{EMOJI}"]
    assert table.spans == [("Here", 4), ("Published", columns)]
    assert cells(table, "fedlmg_sd")[-1] == last
    assert cells(table, "dense")[4:] == ["n/a"] * columns  # no such row in print
    assert f"Published: {said}." in table.notes


def test_label_skew_names_clients_by_number_and_warns(made):
    table = made["fedlmg_emoji_domains-labels"]
    assert [c.label for c in table.columns[:4]] == ["client 0", "client 1", "client 2", "Avg"]
    assert "A client's test images are of its own classes" in " ".join(table.notes)


def test_architectures_stand_over_their_clients_and_are_not_averaged(made):
    table = made["fedlmg_emoji_domains-mixed"]
    assert [c.group for c in table.columns[:4]] == ["mlp", "mini_vgg", "mlp", "All clients"]
    assert not {"fedavg", "fedprox"} & {row.id for row in table.rows}
    assert cells(table, "own")[1] == "80.0 ± 0.0"
    assert "FedAvg, FedProx and FedDyn have no row" in " ".join(table.notes)


def test_ablations_and_their_paired_differences(made):
    table, half = made["fedlmg_ablations"], 4.302653 * 0.2 / sqrt(3)
    ids = ["main", "prompts", "no_batch_norm", "no_editing", "running"]
    assert [row.id for row in table.rows] == ids
    assert cells(table, "main")[:4] == [
        text for level in (62, 66) for text in (f"{level}.0 ± {OWN:.1f}", "")
    ]
    assert cells(table, "prompts")[:2] == [f"50.0 ± {OTHER:.1f}", f"+12.0 ± {half:.1f}"]
    assert cells(table, "no_batch_norm")[1:4:2] == [f"+3.0 ± {half:.1f}"] * 2
    assert cells(table, "no_editing")[2:4] == [f"65.0 ± {OTHER:.1f}", f"+1.0 ± {half:.1f}"]
    assert cells(table, "running")[:2] == [f"57.0 ± {OTHER:.1f}", f"+5.0 ± {half:.1f}"]
    (label,) = (row.label for row in table.rows if row.id == "running")
    assert label == "running statistics, in uploads and the server's model"
    # The paper's own, under a head of their own: losses and noise on DomainNet, models on NICO++.
    assert table.spans[-1] == ("Published (their data)", 4)
    assert cells(table, "main")[4:] == ["34.28", "34.28", "75.96", "58.16"]
    assert cells(table, "no_batch_norm")[4:] == ["32.64 or 31.11", "n/a", "n/a", "n/a"]
    assert cells(table, "prompts")[4] == "28.60"
    assert "Not run here, as the model is not: strict (EmojiDomains, one shot)." in table.notes


def test_more_clients_stand_below_one_a_domain(made):
    table = made["fedlmg_clients"]
    labels = [row.label for row in table.rows]
    assert labels == ["3 clients"] * 2  # all that were made up have three
    first, second = ([cell.text for cell in row.cells] for row in table.rows)
    # As many images: the first of each client and class beside all of the more clients'.
    assert (first[0], second[0]) == ("12", "12")
    assert (first[1], second[1]) == (f"48.0 ± {OWN:.1f}", f"46.0 ± {OWN:.1f}")
    assert first[2] == "n/a"  # the multi-teacher's row has all images only
    assert table.spans[-1] == ("Published (their data)", 2)


def test_a_domain_that_no_upload_is_of(made, grid):
    table, half = made["fedlmg_unseen"], 4.302653 * 0.2 / sqrt(3)
    assert [row.id for row in table.rows] == ["prompts", *SHIFTED, "fedlmg_sd"]
    assert [c.label for c in table.columns] == [
        *("blob", "fluent", "noto", "Mean", "− FedLMG of the others")
    ]
    assert cells(table, "unseen_sd") == [
        *(f"{level}.0 ± {OTHER:.1f}" for level in (53, 55, 57, 55)),
        "",
    ]
    assert cells(table, "prompts")[4] == "−5.0 ± 0.0"
    assert cells(table, "fedlmg_sd")[4] == f"+11.0 ± {half:.1f}"
    assert cells(table, "unseen_ensemble")[3:] == [f"30.0 ± {OTHER:.1f}", "−25.0 ± 0.0"]
    said = (
        "with the client's own upload its model differs by +11.0 ± 0.5 points, prompts alone by "
        "−5.0 ± 0.0, and the mean of the others' classifiers, without images, by −25.0 ± 0.0."
    )
    assert said in fedlmg_text(grid)


def test_sizes_likeness_uploads_and_cost(made):
    table = made["fedlmg_sizes"]
    assert [c.label for c in table.columns] == ["1", "2"]
    assert cells(table, "fedlmg_ft") == [f"48.0 ± {OWN:.1f}", f"62.0 ± {OWN:.1f}"]
    assert cells(table, "prompts") == [f"45.0 ± {OTHER:.1f}", f"50.0 ± {OTHER:.1f}"]
    tried = made["fedlmg_editing"]
    # With λ = 0.1; two steps of a half are what the images of the tables are made with.
    assert cells(tried, "none-0") == ["0.500", "10.000", "1.500", ""]
    assert cells(tried, "0.5-2") == ["0.250", "8.000", "1.050", "yes"]
    assert cells(tried, "0.5-4") == ["0.750", "7.000", "1.450", ""]
    near = made["fedlmg_likeness"]
    assert cells(near, "prompts", "EmojiDomains, one shot") == [
        *("4.000 ± 0.000", "0.2000 ± 0.0000", "20.0 ± 0.0", "20.00 ± 0.00")
    ]
    uploads = made["fedlmg_uploads"]
    mixed = "EmojiDomains, two architectures"
    assert cells(uploads, "mlp", mixed) == ["blob, noto", "0.500", "110", "80.0 ± 0.0"]
    assert cells(uploads, "mini_vgg", mixed)[:2] == ["fluent", "0.500"]
    cost = made["fedlmg_cost"]
    # 60 s over three classifiers.
    assert cells(cost, EMOJI) == [
        *("20.0 ± 0.0", "24", "0.500 ± 0.000", "0.100 ± 0.000", "12.0 ± 0.0", "60.0 ± 0.0", "0.83")
    ]
    assert cells(cost, "emoji_domains-mixed")[0] == "20.0 ± 0.0"


def test_what_methods_ask_of_a_client_and_of_the_server(made):
    table = made["fedlmg_asked"]
    assert [row.id for row in table.rows] == [
        *("prompts", "dense", "fedavg", "fedprox", "feddyn", "feddf"),
        *("fgl", "feddisc", "feddeo", "fedlmg_sd"),
    ]
    # 24 images at 0.1, 0.2 and 0.5 s; classifiers of 400, 500 and 600 kB; 60 s over three.
    assert cells(table, "prompts") == ["nothing", "0", "0", "0", "0", "2.4 ± 0.0"]
    # A million operations of an image; twenty uploads and nineteen downloads of 0.125 M.
    assert cells(table, "dense") == [
        *("its classifier", "500.0 ± 0.0", "0.125 ± 0.000", "0.001 ± 0.000"),
        *("20.0 ± 0.0", "60.0 ± 0.0"),
    ]
    assert cells(table, "fedavg") == [
        *("its classifier, 20 times", "10000.0 ± 0.0", "4.875 ± 0.000", "0.020 ± 0.000"),
        *("n/a", "n/a"),  # its rounds are a job of all methods
    ]
    assert cells(table, "fgl") == [
        *("captions", "0.2 ± 0.0", "0.500 ± 0.000", "0.002 ± 0.000", "2.0 ± 0.0", "4.8 ± 0.0")
    ]
    assert "FedAvg 455.91 and 72.80" in " ".join(table.notes)
    assert cells(table, "feddeo")[:2] == ["descriptions", "6.0 ± 0.0"]
    assert cells(table, "fedlmg_sd") == [
        *("its classifier", "500.0 ± 0.0", "0.125 ± 0.000", "0.001 ± 0.000"),
        *("20.0 ± 0.0", "12.0 ± 0.0"),
    ]


def test_methods_that_were_not_played_ask_nothing(grid):
    frame = grid.fedlmg
    absent = ["dense", "fedavg", "fedprox", "feddyn", "feddf"]
    without = replace(grid, fedlmg=frame[~frame["row"].isin(absent)])
    table = {table.id: table for table in fedlmg_tables(without)}["fedlmg_asked"]
    assert [row.id for row in table.rows] == ["prompts", "fgl", "feddisc", "feddeo", "fedlmg_sd"]


def test_what_ran_and_its_digests(made):
    table = made["fedlmg_experiments"]
    shown = dict(zip([c.label for c in table.columns], cells(table, EMOJI), strict=True))
    assert shown["Clients' models"].startswith("bn_cnn; 20 epochs, batch 32, SGD lr 0.01")
    assert shown["Data"].startswith("EmojiDomains, 4 classes; 3 clients: ")
    assert shown["Guided images"] == (
        "2 images per client and class; 3 steps (pipeline), M = 2, η = 0.5, λ = 0.1, noise "
        "corrected (Eq. 10), strength 1"
    )
    digests = cells(made["fedlmg_digests"], "server-main")[0].split()
    assert digests == [
        synthetic_fedlmg.digest_of(EMOJI, seed, "server", "main") for seed in range(3)
    ]


def test_every_table_goes_through_the_emitter(made, tmp_path):
    for table in made.values():
        table_formats.emit(table, tmp_path)
    with (tmp_path / f"fedlmg_{EMOJI}.csv").open() as file:
        (row,) = [
            r for r in csv.DictReader(file) if (r["row"], r["column"]) == ("fedlmg_sd", "Avg")
        ]
    assert float(row["mean"]) == pytest.approx(66.0)
    assert row["n"] == "3"
    assert "mini\\_vgg" in (tmp_path / "fedlmg_emoji_domains-mixed.tex").read_text()


# Other parts of the report ----------------------------------------------------------------------
def test_no_other_table_shows_fedlmgs_experiments(grid):
    titles = {title for title, *_ in synthetic_fedlmg.MADE.values()}
    shown = [*field_tables(grid), *warmfed_tables(grid), *what_ran(grid).tables]
    shown += provenance(grid).tables
    for table in shown:
        heads = {column.group for column in table.columns} | {c.label for c in table.columns}
        heads |= {row.label for row in table.rows} | {row.group for row in table.rows}
        assert not titles & heads
        assert not any("OpenImage" in text for text in (*heads, *table.notes))
    assert not any(EMOJI in figure.id for figure in field_figures(grid))
    assert "OpenImage" not in warmfed_text(grid)


def test_pfedgpa_leaves_fedlmgs_absences_out():
    absent = synthetic_pfedgpa.ABSENT | synthetic_fedlmg.ABSENT
    grid = synthetic_pfedgpa.results(absent=absent)
    table = pfedgpa_tables.main_table(grid)
    assert {c.group for c in table.columns} == {"Fashion-MNIST", "CIFAR-10"}
    assert "OpenImage" not in " ".join([*table.notes, pfedgpa_text(grid)])
    assert list(absent_here(grid)) == ["openimage"]


def test_without_fedlmg_no_table_stands():
    grid = synthetic_warmfed.results()
    assert fedlmg_tables(grid) == []
    assert fedlmg_figures(grid) == []
    assert fedlmg_text(grid) == "FedLMG has not been run at this scale."


# Words ------------------------------------------------------------------------------------------
def test_the_page_says_what_the_jobs_show(grid, tmp_path):
    text = fedlmg_text(grid)
    for sentence in (
        "It was run on EmojiDomains, one shot; EmojiDomains, two classes a client;",
        "with 3 seeds at embedded scale.",
    ):
        assert sentence in text
    page = section(grid, ())
    assert [entry["title"] for entry in page.absent] == ["OpenImage, 6 clients"]
    assert page.answer.answer == "yes"
    assert "+16.0 ± 0.5 points (EmojiDomains, one shot; 3 seeds)" in page.answer.text
    first = {effect.label: effect for effect in page.forests[0].effects}
    assert first["Guidance (SD − prompts alone)"].text == "+16.0 ± 0.5"
    assert (first["SD − FedAvg"].text, first["SD − FedAvg"].tone) == ("+26.0 ± 0.5", "good")
    assert first["SD − SD without editing of the noise"].text == "+1.0 ± 0.5"
    mixed = next(forest for forest in page.forests if "two architectures" in forest.caption)
    assert not any("FedAvg" in effect.label for effect in mixed.effects)
    alone = section(synthetic_fedlmg.results(tmp_path, seeds=1), ())
    (feddf,) = (e for e in alone.forests[0].effects if e.label == "SD − FedDF")
    assert (feddf.text, feddf.tone) == ("+14.2", "mute")
    assert alone.answer.answer == "not decided"


def test_bullets_say_what_is_cut_and_what_is_missing(grid):
    bullets = " ".join(fedlmg_bullets(grid, PUBLISHED))
    assert (
        "editing steps 2 (the sheet: 10), denoising steps 3 (the sheet: 50), images per client and "
        "class 2 (the sheet: 30); drawn by models/foundation at 32×32 pixels." in bullets
    )
    assert "Tables 1; 2; 3; 4; 5; 6; 7; 9; 10; 11 and 12 of the ICML version" in bullets
    assert all(figure.text in bullets for figure in PUBLISHED.figures)


# Figures ----------------------------------------------------------------------------------------
def test_figures_of_feature_skew_alone(drawn):
    assert list(drawn) == [
        f"fedlmg_{kind}_{EMOJI}" for kind in ("guided", "editing", "losses", "trials", "sizes")
    ]


def test_the_grid_shows_the_first_image_of_each_class_by_guidance(drawn):
    panels = drawn[f"fedlmg_guided_{EMOJI}"].drawing.axes
    assert [axes.get_title(loc="left") for axes in panels] == ["blob", "noto"]
    for client, axes in zip((0, 2), panels, strict=True):
        sheet = axes.images[0].get_array()
        assert sheet.shape == (48, 32, 3)
        for row in range(6):
            for column in range(4):
                block = sheet[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
                colour = [60 * client, 60 * column, 30 * row]
                assert np.array_equal(np.unique(block.reshape(-1, 3), axis=0), [colour])
        names = [text.get_text() for text in axes.get_yticklabels()]
        assert names == [
            *("prompts alone", "FGL", "FedDISC", "FedDEO"),
            *("without editing of the noise", "guided"),
        ]
        assert [t.get_text() for t in axes.get_xticklabels()] == synthetic_fedlmg.CLASSES


def test_edited_noise_shows_its_promises_and_what_comes_of_it(drawn):
    panels = drawn[f"fedlmg_editing_{EMOJI}"].drawing.axes
    assert [axes.get_title(loc="left") for axes in panels] == ["blob", "noto"]
    sheet = panels[1].images[0].get_array()
    assert sheet[4::8, 12].tolist() == [[120, 60, blue] for blue in (160, 170, 120, 150)]
    names = [text.get_text() for text in panels[1].get_yticklabels()]
    assert names[:2] == ["promise of the noise", "promise after 2 steps"]


def test_losses_by_seed_their_mean_and_where_editing_ends(drawn):
    entropy, batch_norm = drawn[f"fedlmg_losses_{EMOJI}"].drawing.axes
    *seeds, mean, mark = entropy.lines
    assert [line.get_ydata()[0] for line in seeds] == pytest.approx([3.0, 3.1, 3.2])
    assert mean.get_xdata().tolist() == [1, 2, 3, 4, 5]
    assert mean.get_ydata().tolist() == pytest.approx([3.1, 2.6, 2.1, 1.6, 1.1])
    assert mean.get_linewidth() > seeds[0].get_linewidth()
    assert list(mark.get_xdata()) == [2.5, 2.5]  # after two steps of editing
    assert batch_norm.lines[-2].get_ydata().tolist() == pytest.approx([10, 9, 8, 7, 6])


def test_accuracy_by_size_between_its_references(drawn):
    (axes,) = drawn[f"fedlmg_sizes_{EMOJI}"].drawing.axes
    curves = [line.get_ydata() for line in axes.lines[:3]]
    assert curves[0] == pytest.approx([45.0, 50.0])
    assert curves[1] == pytest.approx([48.0, 62.0])
    assert curves[2] == pytest.approx([50.0, 66.0])
    texts = {t.get_text() for t in axes.findobj(matplotlib.text.Text)}
    assert {"FedLMG, FT", "FedLMG, SD", "Prompts alone", "Ceiling"} <= texts


def test_a_line_per_size_of_an_editing_step(drawn):
    entropy, distance = drawn[f"fedlmg_trials_{EMOJI}"].drawing.axes
    assert entropy.lines[0].get_ydata().tolist() == [0.5, 0.25, 0.75]
    assert distance.lines[0].get_ydata().tolist() == [10.0, 8.0, 7.0]
    assert distance.lines[0].get_xdata().tolist() == [0, 2, 4]


def test_equal_reports_give_equal_bytes(grid, tmp_path):
    for folder in ("a", "b"):
        for figure in fedlmg_figures(grid):
            figures.emit(figure, tmp_path / folder)
    assert len(list((tmp_path / "a").iterdir())) == 20
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_claims_and_tables_know_the_same_rows():
    assert set(ServerRow.__args__) == set(LABELS)


def test_times_stand_apart_in_tables_of_their_own(grid):
    shown, measured = apart(fedlmg_tables(grid))
    assert [table.id for table in measured] == ["measured_fedlmg_asked", "measured_fedlmg_cost"]
    assert "fedlmg_cost" not in [table.id for table in shown]
    asked = {table.id: table for table in shown}["fedlmg_asked"]
    assert cells(asked, "fgl")[:2] == ["captions", "0.2 ± 0.0"]
    assert cells(measured[0], "fgl") == ["2.0 ± 0.0", "4.8 ± 0.0"]
    frame = grid.fedlmg
    times = frame["quantity"].str.contains("seconds")
    slower = replace(grid, fedlmg=frame.assign(value=frame["value"].where(~times, 900.0)))
    assert apart(fedlmg_tables(slower))[0] == shown
    assert apart(fedlmg_tables(slower))[1] != measured
