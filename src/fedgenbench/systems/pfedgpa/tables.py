"""The tables of pFedGPA, in the order of the report; its field, its lead, rounds, tuning."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pandas as pd

from fedgenbench.report.method_tables import accuracies, by_method
from fedgenbench.report.notes import table_notes
from fedgenbench.report.published import Published, published
from fedgenbench.report.published_tables import published_tables
from fedgenbench.report.results import FAMILIES, Results
from fedgenbench.report.tables import (
    Cell,
    Column,
    Row,
    Table,
    decimals,
)
from fedgenbench.systems.pfedgpa.generation_tables import (
    ablation_table,
    diagnostics_table,
    worth_table,
)
from fedgenbench.systems.pfedgpa.numbers import played
from fedgenbench.systems.pfedgpa.size_tables import cost_table, gain_table
from fedgenbench.systems.pfedgpa.study_tables import (
    density_table,
    fits_table,
    guidance_table,
    newcomer_table,
    oneshot_table,
)

# Share of the pooled training's accuracy that is a target of the table of rounds.
SHARE_OF_CENTRALISED = 0.9


def stated() -> Published:
    """What is known of the paper's own numbers."""
    return published(Path(__file__).with_name("published.yaml"))


def tables(results: Results) -> list[Table]:
    """All that the runs and studies at hand can fill, in the order of the report."""
    made = []
    if played(results):
        made += [main_table(results), worth_table(results), gain_table(results)]
        made += [*cost_table(results), rounds_table(results), ablation_table(results)]
        if not results.server.empty:
            made.append(diagnostics_table(results))
    if not results.weights.empty:
        made += [oneshot_table(results), fits_table(results), *density_table(results)]
    if not results.newcomers.empty:
        made += [newcomer_table(results), guidance_table(results)]
    if any(entry["role"] == "tuning" for entry in results.experiments.values()):
        made.append(tuning_table(results))
    return [*made, *published_tables(results, stated(), "pfedgpa")]


def main_table(results: Results) -> Table:
    """Methods by data set and number of clients."""
    main = results.main
    skewed = [e for e in main.experiments if not main.domains(e)]
    entries = {e: main.experiments[e] for e in skewed}
    datasets = list(dict.fromkeys(entry["dataset"] for entry in entries.values()))
    order = sorted(
        entries, key=lambda e: (datasets.index(entries[e]["dataset"]), entries[e]["clients"])
    )
    shown = main.select(skewed, set(main.runs.loc[main.runs["experiment"].isin(skewed), "method"]))
    columns = [
        Column(_setting(entries, e), entries[e]["dataset"], "%", experiment=e) for e in order
    ]
    contents = [accuracies(main, e, "personal") for e in order]
    notes = ["Accuracies in %, mean over clients, of the models that clients use in the end."]
    caption = "Personalised accuracy by data set and number of clients"
    return by_method(shown, "pfedgpa_main", caption, columns, contents, notes)


def rounds_table(results: Results) -> Table:
    """Evaluated rounds until two targets, of which neither looks at pFedGPA."""
    main = results.main.select(experiments=played(results))
    share = f"{100 * SHARE_OF_CENTRALISED:g} %"
    columns, contents, apart = [], [], 0
    for experiment, entry in main.experiments.items():
        frame = main.rounds[main.rounds["experiment"] == experiment]
        frame = frame[(frame["metric"] == "personal") & (frame["client"] == -1)]
        apart = max([apart, *(b - a for a, b in pairwise(sorted(set(frame["round"]))))])
        final = main.by_seed(experiment, "personal")
        targets = (
            ("Local", "local", 1.0),
            (f"{share} of pooled", "centralised", SHARE_OF_CENTRALISED),
        )
        for label, control, factor in targets:
            columns.append(Column(label, entry["title"], ""))
            goal = factor * final[control] if control in final else pd.Series(dtype=float)
            contents.append(_reached(main, frame, goal, entry["rounds"]))
    rows = [
        Row(
            method,
            main.label(method),
            tuple(c.get(method, Cell()) for c in contents),
            FAMILIES[family],
        )
        for family in ("global", "personalised")
        for method in main.family(family)
        if any(method in column for column in contents)
    ]
    return Table(
        "pfedgpa_rounds",
        "Rounds until the personalised accuracy reaches a target",
        tuple(columns),
        tuple(rows),
        (
            "Targets, within the same seed: the final accuracy of clients that train alone, and "
            f"{share} of the final accuracy of training on the pooled data. Counted at the evaluated "
            f"rounds, which lie up to {apart} apart. > R: not within the R rounds of the run.",
            *table_notes(main, bold=False),
        ),
    )


def _reached(
    results: Results, frame: pd.DataFrame, target: pd.Series, rounds: int
) -> dict[str, Cell]:
    """The first evaluated round at or above each seed's target, or how many seeds never got there."""
    cells = {}
    for method, rows in frame.groupby("method"):
        curves = rows.pivot(index="seed", columns="round", values="value")
        curves = curves.loc[curves.index.intersection(target.dropna().index)]
        if curves.empty:
            continue
        above = curves.ge(target.loc[curves.index], axis=0)
        first = above.idxmax(axis=1)[above.any(axis=1)]
        never = len(curves) - len(first)
        if never == 0:
            cells[method] = decimals(results.interval(first), 1)
        elif len(first) == 0:
            cells[method] = Cell(f"> {rounds}")
        else:
            cells[method] = Cell(f"> {rounds} in {never} of {len(curves)}")
    return cells


def tuning_table(results: Results) -> Table:
    """Validation accuracy of what was tried, with the highest named in words."""
    tuning = [e for e, entry in results.experiments.items() if entry["role"] == "tuning"]
    shown = results.select(
        tuning, set(results.runs.loc[results.runs["experiment"].isin(tuning), "method"])
    )
    columns, contents, notes = [], [], []
    for experiment, entry in shown.experiments.items():
        columns.append(Column("Accuracy", entry["title"], "%"))
        contents.append(accuracies(shown, experiment, "personal"))
        tried = shown.by_seed(experiment, "personal").drop(
            columns=shown.family("control"), errors="ignore"
        )
        if not tried.empty:
            clearly = "significantly" if shown.best(tried) else "not significantly"
            notes.append(
                f"Highest on {entry['title']}: {shown.label(tried.mean().idxmax())}, {clearly} so."
            )
    notes.append("Scored on validation images, which no other table shows. Accuracies in %.")
    return by_method(shown, "tuning", "Settings that were tried", columns, contents, notes)


# Parts ------------------------------------------------------------------------------------------


def _setting(entries: Mapping[str, Mapping], experiment: str) -> str:
    """The clients of an experiment, with the model where another one differs in it alone."""
    entry = entries[experiment]
    alike = [e for e in entries.values() if all(e[k] == entry[k] for k in ("dataset", "clients"))]
    label = f"{entry['clients']} clients"
    return f"{label}, {entry['model']}" if len(alike) > 1 and "model" in entry else label
