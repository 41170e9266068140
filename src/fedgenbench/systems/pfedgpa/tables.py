"""The tables of pFedGPA: its field, what generation is worth, ablations, studies, diagnostics."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pandas as pd

from fedgenbench.report.method_tables import accuracies, by_method
from fedgenbench.report.notes import scale_notes, table_notes
from fedgenbench.report.published import Published, published
from fedgenbench.report.published_tables import published_tables
from fedgenbench.report.results import FAMILIES, Results
from fedgenbench.report.tables import (
    Cell,
    Column,
    Row,
    Table,
    cells_of,
    decimals,
    percent,
    points,
)
from fedgenbench.report.words import absences, difference, spread_note
from fedgenbench.systems.pfedgpa.numbers import (
    PFEDGPA,
    SIMPLER,
    absent,
    against,
    by_local_round,
    by_round,
    last_round,
    newcomers,
    one_shot,
    played,
    variants,
)
from fedgenbench.systems.pfedgpa.study_settings import ARMS

LOSSES = ("loss", "seen_loss", "held_out_loss")

# Share of the pooled training's accuracy that is a target of the table of rounds.
SHARE_OF_CENTRALISED = 0.9
RULES = {
    "own": "own upload, unchanged",
    "mean": "FedAvg mean",
    "dpm_encoder": "DPM-Encoder",
    "edit_friendly": "edit-friendly",
    "ddim": "DDIM",
    "sdedit": "SDEdit",
    "autoencoder_only": "autoencoder alone",
    "latent_mean": "mean code",
}
# The rules that η, and a start step, mean something to; the studies hold values for all.
WITH_ETA = ("dpm_encoder", "edit_friendly")
WITH_START = (*WITH_ETA, "ddim", "sdedit")
NEAREST = (
    "Own nearest: clients whose generated weights are nearest to a stored upload of their own."
)
MOVED = (
    "Moved: how far generation moves weights, in % of the client's distance from the mean of all; 0 is "
    "its own upload."
)
GAP = (
    "Gap: distance to the nearest stored upload, both as codes, in units of the codes' own spread; 0 is "
    "a copy."
)
KEPT = "Kept: the share of training accuracy that the autoencoder leaves."
UNSEEN = (
    "Denoising loss: mean squared error of the predicted noise, 1 where nothing is learnt. Unseen: of a "
    "client that a twin of the server's model never saw, next to those it saw (seen); its error is the "
    "share of the client's own deviation that the autoencoder loses."
)
DIVERGED = "A client whose weights diverged to non-finite values counts as 0."
DIFFERENCES = "Differences are paired within seeds; one counts where its interval leaves out 0."


def stated() -> Published:
    """What is known of the paper's own numbers."""
    return published(Path(__file__).with_name("published.yaml"))


def tables(results: Results) -> list[Table]:
    """All that the runs and studies at hand can fill, in the order of the report."""
    made = []
    if played(results):
        made += [main_table(results), worth_table(results), gain_table(results)]
        made += [rounds_table(results), ablation_table(results)]
        if not results.server.empty:
            made.append(diagnostics_table(results))
    if not results.weights.empty:
        made += [oneshot_table(results), fits_table(results)]
    if not results.newcomers.empty:
        made += [newcomer_table(results), guidance_table(results)]
    if any(entry["role"] == "tuning" for entry in results.experiments.values()):
        made.append(tuning_table(results))
    return [*made, *published_tables(results, stated(), "pfedgpa")]


def main_table(results: Results) -> Table:
    """Methods by data set and number of clients, experiments without runs among them."""
    main = results.main
    skewed = [e for e in main.experiments if not main.domains(e)]
    entries = {e: main.experiments[e] for e in skewed} | absent(results)
    datasets = list(dict.fromkeys(entry["dataset"] for entry in entries.values()))
    order = sorted(
        entries, key=lambda e: (datasets.index(entries[e]["dataset"]), entries[e]["clients"])
    )
    shown = main.select(skewed, set(main.runs.loc[main.runs["experiment"].isin(skewed), "method"]))
    columns, contents = [], []
    for experiment in order:
        entry = entries[experiment]
        columns.append(Column(_setting(entries, experiment), entry["dataset"], "%"))
        if experiment in skewed:
            contents.append(accuracies(main, experiment, "personal"))
        else:
            cell = Cell("no data" if entry["reason"] == "no data" else "not run")
            contents.append(dict.fromkeys(["random_guess", *shown.methods], cell))
    notes = ["Accuracies in %, mean over clients, of the models that clients use in the end."]
    notes += [
        f"Without runs ({reason}): {'; '.join(t)}."
        for reason, t in absences(absent(results).values()).items()
    ]
    caption = "Personalised accuracy by data set and number of clients"
    return by_method(shown, "pfedgpa_main", caption, columns, contents, notes)


def worth_table(results: Results) -> Table:
    """pFedGPA beside the runs in which something simpler takes the place of what is generated."""
    rows, notes = [], []
    for experiment in played(results):
        title = results.experiments[experiment]["title"]
        scores = results.by_seed(experiment, "personal")
        for method in (PFEDGPA, *(m for m in SIMPLER if m in scores)):
            last = last_round(by_round(results, experiment, method))
            cells = (
                *cells_of(results, last, percent, "start"),
                percent(results.interval(scores[method])),
                *cells_of(results, last, percent, "generated"),
                _behind(results, scores, method),
                *cells_of(results, last, percent, "moved", "own"),
            )
            rows.append(Row(method, results.label(method), cells, title))
        notes.append(f"{title}: {against(results, experiment, 'pfedgpa_own')}")
    return Table(
        "pfedgpa_worth",
        "What generation is worth",
        (
            Column("Received", "Accuracy", "%"),
            Column("Trained", "Accuracy", "%"),
            Column("Generated", "Accuracy", "%"),
            Column("pFedGPA's lead", "", "points"),
            Column("Moved", "Generation", "%"),
            Column("Own nearest", "Generation", "%"),
        ),
        tuple(rows),
        (
            *notes,
            "Received: the model as the last round sent it, before local training. Trained: after it, "
            "the method's score. Generated: what the server then made of it, before any new training.",
            "Layers that are not generated are averaged in all rows; where the whole model is generated, "
            "sending back the own upload is pure local training.",
            *(MOVED, NEAREST, DIFFERENCES),
            *_run_notes(results),
        ),
        "What is sent",
    )


def ablation_table(results: Results) -> Table:
    """Variants of pFedGPA against its main setting."""
    rows = []
    for experiment in played(results):
        scores = results.by_seed(experiment, "personal")
        for method in (PFEDGPA, *variants(results, experiment)):
            last = last_round(by_round(results, experiment, method))
            lead = None
            if method != PFEDGPA:
                lead = difference(results, scores[method], scores[PFEDGPA])
            cells = (
                percent(results.interval(scores[method])),
                points(lead),
                *cells_of(results, last, percent, "generated", "moved"),
            )
            title = results.experiments[experiment]["title"]
            rows.append(Row(method, results.label(method), cells, title))
    return Table(
        "pfedgpa_ablations",
        "Variants of pFedGPA against its main setting",
        (
            Column("Trained", "Accuracy", "%"),
            Column("− main", "Accuracy", "points"),
            Column("Generated", "Accuracy", "%"),
            Column("Moved", "", "%"),
        ),
        tuple(rows),
        (
            "Trained: after local training, the method's score. Generated: right after generation.",
            *(MOVED, DIFFERENCES),
            *_run_notes(results),
        ),
        "Variant",
    )


def gain_table(results: Results) -> Table:
    """pFedGPA's lead by number of clients and, where it is known, of generated weights."""
    experiments = played(results)
    entries = {e: results.experiments[e] for e in experiments}
    sized = any("generated_weights" in entry for entry in entries.values())
    rows = []
    for experiment, entry in entries.items():
        main = results.main
        scores = main.by_seed(experiment, "personal")
        rivals = scores.drop(columns=[PFEDGPA, *main.family("control")], errors="ignore")
        best = None if rivals.empty else rivals.mean().idxmax()
        cells = [Cell(str(entry["clients"]))]
        if sized:
            cells.append(Cell(f"{entry['generated_weights']:,}"))
        cells.append(percent(results.interval(scores[PFEDGPA])))
        cells += [_behind(results, scores, m) for m in ("local", "fedavg_ft", best)]
        cells.append(Cell(results.label(best)) if best else Cell())
        rows.append(Row(experiment, entry["title"], tuple(cells)))
    return Table(
        "pfedgpa_gain",
        "Lead of pFedGPA by number of clients",
        (
            Column("Clients", "", ""),
            *([Column("Weights", "", "")] if sized else []),
            Column("pFedGPA", "", "%"),
            Column("Local", "Lead over", "points"),
            Column("FedAvg + FT", "Lead over", "points"),
            Column("best other", "Lead over", "points"),
            Column("Best other", "", None),
        ),
        tuple(rows),
        (
            "Best other: the highest mean of all other methods that are no controls.",
            *(["Weights: numbers that the server generates for a client."] if sized else []),
            DIFFERENCES,
            *_run_notes(results),
        ),
        "Experiment",
    )


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


def diagnostics_table(results: Results) -> Table:
    """What the servers report of their last generation."""
    rows = []
    for experiment in played(results):
        for method in (PFEDGPA, *variants(results, experiment)):
            last = last_round(by_round(results, experiment, method))
            if "moved" not in last:
                continue
            cells = (
                *cells_of(results, last, percent, "change", "moved", "own"),
                *cells_of(results, last, decimals, "gap"),
                *cells_of(results, last, percent, "reconstruction", "held_out_error"),
                *cells_of(results, last, decimals, *LOSSES),
            )
            title = results.experiments[experiment]["title"]
            rows.append(Row(method, results.label(method), cells, title))
    return Table(
        "pfedgpa_diagnostics",
        "What generation does to the weights in the last evaluated round, and what the server learnt",
        (
            Column("Change", "Generated weights", "%"),
            Column("Moved", "Generated weights", "%"),
            Column("Own nearest", "Generated weights", "%"),
            Column("Gap", "Generated weights", ""),
            Column("Kept", "Autoencoder", "%"),
            Column("Unseen error", "Autoencoder", "%"),
            Column("in use", "Denoising loss", ""),
            Column("seen", "Denoising loss", ""),
            Column("unseen", "Denoising loss", ""),
        ),
        tuple(rows),
        (
            "Change: in % of the whole weights, of which the shared start makes up most.",
            *(MOVED, NEAREST, GAP, KEPT, UNSEEN),
            *_run_notes(results),
        ),
        "Variant",
    )


def oneshot_table(results: Results) -> Table:
    """Ways of generating, all from the same saved uploads and the same fitted generators."""
    rows = []
    for experiment, fit in _fits(results):
        uploads = None
        for rule, eta, start, seeds in one_shot(results, experiment, fit):
            if rule == "fit":
                continue
            if rule == "own":
                uploads = seeds
            lead = None
            if rule != "own" and uploads is not None:
                lead = difference(results, seeds["trained"], uploads["trained"])
            cells = (
                Cell(f"{eta:g}" if rule in WITH_ETA else ""),
                Cell(f"{start:.0f}" if rule in WITH_START else ""),
                *cells_of(results, seeds, percent, "generated", "trained"),
                points(lead),
                *cells_of(results, seeds, percent, "moved", "group_kept", "own"),
            )
            id = "-".join([fit, rule, *(f"{n:g}" for n in (eta, start) if not pd.isna(n))])
            title = f"{results.experiments[experiment]['title']}: {fit}"
            rows.append(Row(id, RULES[rule], cells, title))
    return Table(
        "pfedgpa_oneshot",
        "One generation from saved uploads: inversion rules",
        (
            Column("η", "", ""),
            Column("Start", "", ""),
            Column("Generated", "Accuracy", "%"),
            Column("Trained", "Accuracy", "%"),
            Column("− own upload", "Accuracy", "points"),
            Column("Moved", "Generation", "%"),
            Column("Group kept", "Generation", "%"),
            Column("Own nearest", "Generation", "%"),
        ),
        tuple(rows),
        (
            "Generated: right after generation. Trained: after one local training from there.",
            "Group kept: clients whose generated weights are nearest to an upload of a client with the "
            "same distribution.",
            *(MOVED, NEAREST, DIFFERENCES),
            *_study_notes(results, results.weights),
        ),
        "Rule",
    )


def fits_table(results: Results) -> Table:
    """What the generators of the one-shot study learnt."""
    rows = []
    for experiment, fit in _fits(results):
        found = [seeds for rule, _, _, seeds in one_shot(results, experiment, fit) if rule == "fit"]
        seeds = found[0] if found else pd.DataFrame()
        accuracy = ("upload_train", "reconstruction_train", "upload_test", "reconstruction_test")
        cells = (
            *cells_of(results, seeds, percent, *accuracy),
            *cells_of(results, seeds, decimals, *LOSSES),
            *cells_of(results, seeds, percent, "held_out_error"),
        )
        rows.append(
            Row(f"{experiment}-{fit}", fit, cells, results.experiments[experiment]["title"])
        )
    return Table(
        "pfedgpa_fits",
        "What the generators of the one-shot study learnt",
        (
            Column("upload", "Training accuracy", "%"),
            Column("rebuilt", "Training accuracy", "%"),
            Column("upload", "Test accuracy", "%"),
            Column("rebuilt", "Test accuracy", "%"),
            Column("in use", "Denoising loss", ""),
            Column("seen", "Denoising loss", ""),
            Column("unseen", "Denoising loss", ""),
            Column("Unseen error", "", "%"),
        ),
        tuple(rows),
        (
            "Rebuilt: the upload through the autoencoder alone.",
            UNSEEN,
            *_study_notes(results, results.weights),
        ),
        "Fit",
    )


def newcomer_table(results: Results) -> Table:
    """Clients that join late, in the main setting: by arm, stage and local round."""
    rounds = sorted(results.newcomers["round"].unique())
    stages = {"trained": "after local training", "generated": "right after generation"}
    rows = []
    for experiment in _with_newcomers(results):
        frame = newcomers(results, experiment, main=True)
        for stage, words in stages.items():
            group = f"{results.experiments[experiment]['title']}: {words}"
            for arm, label in ARMS.items():
                own = frame[(frame["arm"] == arm) & (frame["stage"] == stage)]
                if own.empty:
                    continue
                table = by_local_round(own, stage)
                cells = tuple(cells_of(results, table, percent, *rounds))
                rows.append(Row(f"{arm}-{stage}", label, cells, group))
    steps, omega = results.newcomer_main
    return Table(
        "pfedgpa_newcomers",
        "New clients: accuracy by local round",
        tuple(Column(str(r), "Local round", "%") for r in rounds),
        tuple(rows),
        (
            f"Accuracies in %, mean over the new clients. {steps} denoising steps, guidance ω = "
            f"{omega:g}. Round 0: before any training; the last round ends with local training.",
            "Printed sign: the guidance as Algorithm 1 can be read, which leads away from the update.",
            DIVERGED,
            *_study_notes(results, results.newcomers),
        ),
        "Arm",
    )


def guidance_table(results: Results) -> Table:
    """Every setting of the guided arms: denoising steps, strength and sign."""
    rows = []
    for experiment in _with_newcomers(results):
        frame = newcomers(results, experiment, main=False)
        scratch = by_local_round(frame[frame["arm"] == "local"], "trained")
        settings = frame[frame["steps"].notna()].groupby(["steps", "arm", "omega"], dropna=False)
        order = sorted(
            settings, key=lambda each: (each[0][0], list(ARMS).index(each[0][1]), each[0][2])
        )
        for (steps, arm, omega), own in order:
            generated, trained = (by_local_round(own, stage) for stage in ("generated", "trained"))
            end = trained.columns.max()
            cells = (
                Cell(f"{steps:.0f}"),
                Cell("" if pd.isna(omega) else f"{omega:g}"),
                *cells_of(
                    results, generated, percent, generated.columns.min(), generated.columns.max()
                ),
                percent(results.interval(trained[end])),
                points(difference(results, trained[end], scratch[end]) if end in scratch else None),
            )
            id = f"{arm}-{steps:.0f}-{omega:g}"
            rows.append(Row(id, ARMS[arm], cells, results.experiments[experiment]["title"]))
    return Table(
        "pfedgpa_guidance",
        "New clients: denoising steps, strength and sign of guidance",
        (
            Column("Steps", "", ""),
            Column("ω", "", ""),
            Column("first", "Generated", "%"),
            Column("last", "Generated", "%"),
            Column("last", "Trained", "%"),
            Column("− from scratch", "Trained", "points"),
        ),
        tuple(rows),
        (
            "Generated: right after the first and the last generation. Trained: after the last local "
            "training, and its difference to clients that train from scratch for as many rounds.",
            DIFFERENCES,
            DIVERGED,
            *_study_notes(results, results.newcomers),
        ),
        "Arm",
    )


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
def _behind(results: Results, scores: pd.DataFrame, method: str | None) -> Cell:
    """By how much pFedGPA leads over ``method``."""
    if method not in scores or method == PFEDGPA:
        return Cell()
    return points(difference(results, scores[PFEDGPA], scores[method]))


def _setting(entries: Mapping[str, Mapping], experiment: str) -> str:
    """The clients of an experiment, with the model where another one differs in it alone."""
    entry = entries[experiment]
    alike = [e for e in entries.values() if all(e[k] == entry[k] for k in ("dataset", "clients"))]
    label = f"{entry['clients']} clients"
    return f"{label}, {entry['model']}" if len(alike) > 1 and "model" in entry else label


def _fits(results: Results) -> list[tuple[str, str]]:
    pairs = results.weights[["experiment", "fit"]].drop_duplicates()
    return list(pairs.itertuples(index=False, name=None))


def _with_newcomers(results: Results) -> list[str]:
    return [e for e in results.experiments if (results.newcomers["experiment"] == e).any()]


def _run_notes(results: Results) -> list[str]:
    experiments = played(results)
    methods = [m for e in experiments for m in (PFEDGPA, *variants(results, e))]
    return table_notes(results.select(experiments, methods), bold=False)


def _study_notes(results: Results, frame: pd.DataFrame) -> list[str]:
    """Notes on a study that stands beside the runs: they are of another scale of no paper either."""
    return [spread_note(results, [frame["seed"].nunique()]), *scale_notes(results.runs)]
