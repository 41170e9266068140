"""pFedGPA's lead by clients, model and data, and its server's time beside the rounds that it saves."""

import pandas as pd

from fedgenbench.report.notes import DIFFERENCES, table_notes
from fedgenbench.report.results import Results
from fedgenbench.report.table_specs import Numbers, Shown, TableSpec, lead, number, share, words
from fedgenbench.report.tables import Column, Table, points
from fedgenbench.systems.pfedgpa.numbers import PFEDGPA, of_all_sizes, rounds_to_reach

OWN, REFERENCE = "pfedgpa_own", "fedavg_ft"
LEADS = {"own": OWN, "noise": "pfedgpa_noise", "local": "local", "fedavg_ft": REFERENCE}

COST = TableSpec(
    "pfedgpa_cost",
    "Server time beside saved rounds",
    (
        number("clients", "All clients", "Seconds a round", measured=True),
        number("server", "Server", "Seconds a round", measured=True),
        Shown("saved", Column("Saved", "Rounds", measured=True), lambda i: points(i.scaled(0.01))),
        Shown("pays", Column("Pays above", unit="s", measured=True)),
    ),
    (
        "All clients: a round without generation, one client after another on this machine, scoring "
        "included. Server: what a round takes more with it, mean over all rounds.",
        "Saved: rounds that FedAvg + FT takes to its own final accuracy, less those that pFedGPA takes "
        "to the same; one more than all rounds where it never gets there. Pays above: the seconds that a "
        "round would have to cost in a federation, so that the saved ones pay for the server's time; "
        "never where none is saved.",
    ),
    "Experiment",
    measured_notes=("Times are of the machines that ran the jobs, with what else ran there.",),
)


def gain_table(results: Results) -> Table:
    """pFedGPA's lead by number of clients, by model and, where it is known, by generated weights."""
    compared = of_all_sizes(results)
    entries = _with_scores(compared)
    sized = any("generated_weights" in entry for entry in entries.values())
    apart = [*results.family("control"), *results.family("variant"), PFEDGPA]
    rows = []
    for experiment, entry in entries.items():
        scores = compared.by_seed(experiment, "personal")
        others = scores.drop(columns=apart, errors="ignore")
        best = None if others.empty else others.mean().idxmax()
        leads = {
            key: scores[PFEDGPA] - scores[method]
            for key, method in (LEADS | {"best": best}).items()
            if method in scores
        }
        texts = {"clients": str(entry["clients"])} | ({"name": results.label(best)} if best else {})
        if sized:
            texts["weights"] = f"{entry['generated_weights']:,}"
        numbers = pd.DataFrame({"score": scores[PFEDGPA], **leads})
        rows.append(Numbers(experiment, entry["title"], numbers, texts=texts))
    spec = TableSpec(
        "pfedgpa_gain",
        "Lead of pFedGPA by number of clients, model and data",
        (
            words("clients", "Clients", unit=""),
            *([words("weights", "Weights", unit="")] if sized else []),
            share("score", "pFedGPA"),
            lead("own", "own upload", "Lead over"),
            lead("noise", "with noise", "Lead over"),
            lead("local", "Local", "Lead over"),
            lead("fedavg_ft", "FedAvg + FT", "Lead over"),
            lead("best", "best other", "Lead over"),
            words("name", "Best other"),
        ),
        (
            "Own upload, with noise: runs whose server sends these in place of what it would generate. "
            "Best other: the highest mean of all other methods that are no controls.",
            *(["Weights: numbers that the server generates for a client."] if sized else []),
            DIFFERENCES,
        ),
        "Experiment",
    )
    return spec.table(results, rows, _notes(compared, entries))


def cost_table(results: Results) -> list[Table]:
    """Seconds of the server beside saved rounds; empty where pFedGPA was never played without
    generation, of which its server's time is known."""
    compared = of_all_sizes(results)
    entries = {e: v for e, v in _with_scores(compared).items() if OWN in compared.run_seconds(e)}
    rows = []
    for experiment, entry in entries.items():
        seconds = compared.run_seconds(experiment) / entry["rounds"]
        numbers = pd.DataFrame({"clients": seconds[OWN], "server": seconds[PFEDGPA] - seconds[OWN]})
        texts = {}
        scores = compared.by_seed(experiment, "personal")
        if REFERENCE in scores:
            counts, _ = rounds_to_reach(compared, experiment, scores[REFERENCE].dropna())
            numbers["saved"] = counts[REFERENCE] - counts[PFEDGPA]
            saved, spent = numbers["saved"].mean(), entry["rounds"] * numbers["server"].mean()
            texts["pays"] = f"{max(spent, 0) / saved:.0f}" if saved > 0 else "never"
        rows.append(Numbers(experiment, entry["title"], numbers, texts=texts))
    return [COST.table(results, rows, _notes(compared, entries))] if rows else []


def _with_scores(results: Results) -> dict[str, dict]:
    entries = results.experiments.items()
    return {e: dict(v) for e, v in entries if PFEDGPA in results.by_seed(e, "personal")}


def _notes(results: Results, experiments: dict[str, dict]) -> list[str]:
    methods = [PFEDGPA, *LEADS.values()]
    return table_notes(results.select(experiments, methods), bold=False)
