"""The tables of pFedGPA's studies: one generation from saved uploads, and clients that join late."""

import pandas as pd

from fedgenbench.report.notes import DIFFERENCES, study_notes
from fedgenbench.report.results import Results
from fedgenbench.report.table_specs import (
    Numbers,
    TableSpec,
    beside,
    lead,
    number,
    share,
    words,
)
from fedgenbench.report.tables import Table
from fedgenbench.systems.pfedgpa.generation_tables import (
    KEPT,
    LOSSES,
    MOVED,
    NEAREST,
    OVERLAP,
    UNSEEN,
)
from fedgenbench.systems.pfedgpa.numbers import (
    OF_A_FIT,
    OF_UPLOADS,
    by_local_round,
    newcomers,
    one_shot,
)
from fedgenbench.systems.pfedgpa.study_settings import ARMS

RULES = {
    "own": "own upload, unchanged",
    "mean": "FedAvg mean",
    "stored": "mean of own stored uploads",
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
DIVERGED = "A client whose weights diverged to non-finite values counts as 0."

ONE_SHOT = TableSpec(
    "pfedgpa_oneshot",
    "One generation from saved uploads: inversion rules",
    (
        words("eta", "η", unit=""),
        words("start", "Start", unit=""),
        share("generated", "Generated", "Accuracy"),
        share("trained", "Trained", "Accuracy"),
        lead("lead", "− own upload", "Accuracy"),
        share("moved", "Moved", "Generation"),
        share("group_kept", "Group kept", "Generation"),
        share("own", "Own nearest", "Generation"),
        share("overlap", "Overlap", "Generation"),
        share("noised", "Accuracy", "Noise as far"),
        share("noised_overlap", "Overlap", "Noise as far"),
    ),
    (
        "Generated: right after generation. Trained: after one local training from there.",
        "Noise as far: the own upload with Gaussian noise that leads as far from it as generation did, "
        "in proportion to how uploads differ in each layer.",
        "Group kept: clients whose generated weights are nearest to an upload of a client with the "
        "same distribution.",
        *(MOVED, NEAREST, OVERLAP, DIFFERENCES),
    ),
    "Rule",
)
FITS = TableSpec(
    "pfedgpa_fits",
    "What the generators of the one-shot study learnt",
    (
        share("upload_train", "upload", "Training accuracy"),
        share("reconstruction_train", "rebuilt", "Training accuracy"),
        share("kept", "Kept", "Training accuracy"),
        share("upload_test", "upload", "Test accuracy"),
        share("reconstruction_test", "rebuilt", "Test accuracy"),
        *LOSSES,
        share("held_out_error", "Unseen error"),
    ),
    (
        f"Rebuilt: the upload through the autoencoder alone. {KEPT} In the rounds a run stops where it "
        "is below the gate `reconstruction`.",
        UNSEEN,
    ),
    "Fit",
)
DENSITY = TableSpec(
    "pfedgpa_density",
    "How many uploads the density takes",
    (
        words("each", "of each client", "Uploads", unit=""),
        words("all", "in all", "Uploads", unit=""),
        *LOSSES[1:],
        number("ratio", "unseen / seen", "Denoising loss"),
        share("held_out_error", "Unseen error"),
    ),
    (
        "A generator is learnt anew from so many stored uploads, the oldest first, of all clients but "
        "one. It knows a density, and not the uploads by heart, where the unseen client's loss is that "
        "of the seen ones, and the autoencoder loses little of what is the client's own.",
        UNSEEN,
    ),
    "Experiment",
)
GUIDANCE = TableSpec(
    "pfedgpa_guidance",
    "New clients: denoising steps, strength and sign of guidance",
    (
        words("steps", "Steps", unit=""),
        words("omega", "ω", unit=""),
        share("first", "first", "Generated"),
        share("last", "last", "Generated"),
        share("trained", "last", "Trained"),
        lead("lead", "− from scratch", "Trained"),
    ),
    (
        "Generated: right after the first and the last generation. Trained: after the last local "
        "training, and its difference to clients that train from scratch for as many rounds.",
        DIFFERENCES,
        DIVERGED,
    ),
    "Arm",
)


def oneshot_table(results: Results) -> Table:
    """Ways of generating, all from the same saved uploads and the same fitted generators."""
    rows = []
    for experiment, fit in _fits(results):
        uploads = None
        for rule, eta, start, numbers in one_shot(results, experiment, fit):
            if rule in (OF_A_FIT, OF_UPLOADS):
                continue
            if rule == "own":
                uploads = numbers
            elif uploads is not None:
                numbers = beside(numbers, lead=numbers["trained"] - uploads["trained"])
            texts = {
                "eta": f"{eta:g}" if rule in WITH_ETA else "",
                "start": f"{start:.0f}" if rule in WITH_START else "",
            }
            id = "-".join([fit, rule, *(f"{n:g}" for n in (eta, start) if not pd.isna(n))])
            title = f"{results.experiments[experiment]['title']}: {fit}"
            rows.append(Numbers(id, RULES[rule], numbers, title, texts))
    return ONE_SHOT.table(results, rows, study_notes(results, results.weights))


def fits_table(results: Results) -> Table:
    """What the generators of the one-shot study learnt."""
    rows = []
    for experiment, fit in _fits(results):
        studied = one_shot(results, experiment, fit)
        of_fit = [numbers for rule, _, _, numbers in studied if rule == OF_A_FIT]
        title = results.experiments[experiment]["title"]
        numbers = of_fit[0] if of_fit else pd.DataFrame()
        if of_fit:
            kept = numbers["reconstruction_train"] / numbers["upload_train"]
            numbers = beside(numbers, kept=kept)
        rows.append(Numbers(f"{experiment}-{fit}", fit, numbers, title))
    return FITS.table(results, rows, study_notes(results, results.weights))


def density_table(results: Results) -> list[Table]:
    """What generators would have learnt from fewer rounds of uploads; empty where it was not asked."""
    rows = []
    for experiment, fit in _fits(results):
        entry = results.experiments[experiment]
        for rule, _, each, numbers in one_shot(results, experiment, fit):
            if rule != OF_UPLOADS:
                continue
            numbers = beside(numbers, ratio=numbers["held_out_loss"] / numbers["seen_loss"])
            texts = {"each": f"{each:.0f}", "all": f"{(entry['clients'] - 1) * each:.0f}"}
            id = f"{experiment}-{fit}-{each:.0f}"
            rows.append(Numbers(id, f"{entry['title']}: {fit}", numbers, texts=texts))
    return [DENSITY.table(results, rows, study_notes(results, results.weights))] if rows else []


def newcomer_table(results: Results) -> Table:
    """Clients that join late, in the main setting: by arm, stage and local round."""
    stages = {"trained": "after local training", "generated": "right after generation"}
    rows = []
    for experiment in _with_newcomers(results):
        frame = newcomers(results, experiment, main=True)
        for stage, said in stages.items():
            group = f"{results.experiments[experiment]['title']}: {said}"
            for arm, label in ARMS.items():
                of_arm = frame[(frame["arm"] == arm) & (frame["stage"] == stage)]
                if not of_arm.empty:
                    by_seed = by_local_round(of_arm, stage)
                    rows.append(Numbers(f"{arm}-{stage}", label, by_seed, group))
    assert results.newcomer_main is not None  # where there are newcomers
    steps, omega = results.newcomer_main
    spec = TableSpec(
        "pfedgpa_newcomers",
        "New clients: accuracy by local round",
        [share(r, str(r), "Local round") for r in sorted(results.newcomers["round"].unique())],
        (
            f"Accuracies in %, mean over the new clients. {steps} denoising steps, guidance ω = "
            f"{omega:g}. Round 0: before any training; the last round ends with local training.",
            "Printed sign: the guidance as Algorithm 1 can be read, which leads away from the update.",
            DIVERGED,
        ),
        "Arm",
    )
    return spec.table(results, rows, study_notes(results, results.newcomers))


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
        for (steps, arm, omega), of_arm in order:
            generated, trained = (by_local_round(of_arm, s) for s in ("generated", "trained"))
            end = trained.columns.max()
            numbers = {
                "first": generated[generated.columns.min()],
                "last": generated[generated.columns.max()],
                "trained": trained[end],
            }
            if end in scratch:
                numbers["lead"] = trained[end] - scratch[end]
            texts = {"steps": f"{steps:.0f}", "omega": "" if pd.isna(omega) else f"{omega:g}"}
            id, title = f"{arm}-{steps:.0f}-{omega:g}", results.experiments[experiment]["title"]
            rows.append(Numbers(id, ARMS[arm], pd.DataFrame(numbers), title, texts))
    return GUIDANCE.table(results, rows, study_notes(results, results.newcomers))


def _fits(results: Results) -> list[tuple[str, str]]:
    pairs = results.weights[["experiment", "fit"]].drop_duplicates()
    return list(pairs.itertuples(index=False, name=None))


def _with_newcomers(results: Results) -> list[str]:
    return [e for e in results.experiments if (results.newcomers["experiment"] == e).any()]
