"""The tables of what generation does in pFedGPA's rounds: what it is worth, variants, diagnostics."""

from fedgenbench.report.notes import DIFFERENCES, table_notes
from fedgenbench.report.results import Results
from fedgenbench.report.table_specs import Numbers, TableSpec, beside, lead, number, share
from fedgenbench.report.tables import Table
from fedgenbench.systems.pfedgpa.numbers import (
    CONTROLS,
    PFEDGPA,
    by_round,
    last_round,
    played,
    variants,
)

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
OVERLAP = (
    "Overlap: of the test images that the generated model or the client's upload gets wrong, those that "
    "both get wrong; 100 is a copy."
)
KEPT = "Kept: the share of training accuracy that the autoencoder leaves."
UNSEEN = (
    "Denoising loss: mean squared error of the predicted noise, 1 where nothing is learnt. Unseen: of a "
    "client that a twin of the server's model never saw, next to those it saw (seen); its error is the "
    "share of the client's own deviation that the autoencoder loses."
)
LOSSES = (
    number("loss", "in use", "Denoising loss"),
    number("seen_loss", "seen", "Denoising loss"),
    number("held_out_loss", "unseen", "Denoising loss"),
)
WORTH = TableSpec(
    "pfedgpa_worth",
    "What generation is worth",
    (
        share("start", "Received", "Accuracy"),
        share("score", "Trained", "Accuracy"),
        share("generated", "Generated", "Accuracy"),
        lead("lead", "pFedGPA's lead"),
        share("moved", "Moved", "Generation"),
        share("own", "Own nearest", "Generation"),
        share("overlap", "Overlap", "Generation"),
    ),
    (
        "Received: the model as the last round sent it, before local training. Trained: after it, "
        "the method's score. Generated: what the server then made of it, before any new training.",
        "Layers that are not generated are averaged in all rows; where the whole model is generated, "
        "sending back the own upload is pure local training.",
        "Noise leads as far from the own upload as the diffusion model would have led; the mean of "
        "stored uploads is of the client's own. Both are controls of a study of weight generators (Zeng "
        "et al., CVPR 2026).",
        *(MOVED, NEAREST, OVERLAP, DIFFERENCES),
    ),
    "What is sent",
)
ABLATIONS = TableSpec(
    "pfedgpa_ablations",
    "Variants of pFedGPA against its main setting",
    (
        share("score", "Trained", "Accuracy"),
        lead("lead", "− main", "Accuracy"),
        share("generated", "Generated", "Accuracy"),
        share("moved", "Moved"),
    ),
    (
        "Trained: after local training, the method's score. Generated: right after generation.",
        *(MOVED, DIFFERENCES),
    ),
    "Variant",
)
DIAGNOSTICS = TableSpec(
    "pfedgpa_diagnostics",
    "What generation does to the weights in the last evaluated round, and what the server learnt",
    (
        share("change", "Change", "Generated weights"),
        share("moved", "Moved", "Generated weights"),
        share("own", "Own nearest", "Generated weights"),
        number("gap", "Gap", "Generated weights"),
        share("overlap", "Overlap", "Generated weights"),
        share("reconstruction", "Kept", "Autoencoder"),
        share("held_out_error", "Unseen error", "Autoencoder"),
        *LOSSES,
    ),
    (
        "Change: in % of the whole weights, of which the shared start makes up most.",
        *(MOVED, NEAREST, GAP, OVERLAP, KEPT, UNSEEN),
    ),
    "Variant",
)


def worth_table(results: Results) -> Table:
    """pFedGPA beside the runs in which something simpler takes the place of what is generated."""
    rows = []
    for experiment in played(results):
        title = results.experiments[experiment]["title"]
        scores = results.by_seed(experiment, "personal")
        for method in (PFEDGPA, *(m for m in CONTROLS if m in scores)):
            numbers = beside(
                last_round(by_round(results, experiment, method)), score=scores[method]
            )
            if method != PFEDGPA:
                numbers = beside(numbers, lead=scores[PFEDGPA] - scores[method])
            rows.append(
                Numbers(method, results.label(method), numbers, title, experiment=experiment)
            )
    return WORTH.table(results, rows, run_notes(results))


def ablation_table(results: Results) -> Table:
    """Variants of pFedGPA against its main setting."""
    rows = []
    for experiment in played(results):
        scores = results.by_seed(experiment, "personal")
        for method in (PFEDGPA, *variants(results, experiment)):
            numbers = beside(
                last_round(by_round(results, experiment, method)), score=scores[method]
            )
            if method != PFEDGPA:
                numbers = beside(numbers, lead=scores[method] - scores[PFEDGPA])
            title = results.experiments[experiment]["title"]
            rows.append(
                Numbers(method, results.label(method), numbers, title, experiment=experiment)
            )
    return ABLATIONS.table(results, rows, run_notes(results))


def diagnostics_table(results: Results) -> Table:
    """What the servers report of their last generation."""
    rows = []
    for experiment in played(results):
        for method in (PFEDGPA, *variants(results, experiment)):
            last = last_round(by_round(results, experiment, method))
            if "moved" in last:
                title = results.experiments[experiment]["title"]
                rows.append(Numbers(method, results.label(method), last, title))
    return DIAGNOSTICS.table(results, rows, run_notes(results))


def run_notes(results: Results) -> list[str]:
    """What stands under numbers of pFedGPA's own runs."""
    experiments = played(results)
    methods = [m for e in experiments for m in (PFEDGPA, *variants(results, e))]
    return table_notes(results.select(experiments, methods), bold=False)
