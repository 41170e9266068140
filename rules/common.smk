# Configuration, determinism, and the tables that wildcards are looked up in.
import os
import shlex
import sys
from pathlib import Path

from fedgenbench.plan import settings as configuration
from fedgenbench.core.errors import UserError
from fedgenbench.plan.grid import Grid, job_code, source_digest
from fedgenbench.plan import needs
from fedgenbench.plan.forecast import forecast
from fedgenbench.plan.selection import require_known, select
from fedgenbench.core.products import forget_altered
from fedgenbench.core.reports import run_file
from fedgenbench.commands.start import remarks, started

# The same bits on every CPU with AVX2: set before any job's Python starts (docs/determinism.md).
os.environ.update(
    ATEN_CPU_CAPABILITY="avx2",
    ONEDNN_MAX_CPU_ISA="AVX2",
    MKL_CBWR="COMPATIBLE",
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
)
# Without written bytecode every job recompiles what it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Snakemake puts the path of Python into a shell's command as it is.
if shlex.quote(sys.executable) != sys.executable:
    os.environ.update(PATH=os.path.dirname(sys.executable) + os.pathsep + os.getenv("PATH", ""))
    sys.executable = os.path.basename(sys.executable)

try:
    SCALE, ALL_SETTINGS = configuration.load("params.yaml", overrides=config)
    require_known(ALL_SETTINGS[SCALE].only, ALL_SETTINGS)
    SELECTED = {name: select(each) for name, each in ALL_SETTINGS.items()}
    ALL_SETTINGS = {name: each for name, (each, _) in SELECTED.items()}
    GRIDS = {name: Grid(each, ALL_SETTINGS["paper"]) for name, each in ALL_SETTINGS.items()}
    GRIDS[SCALE].require_models()
except UserError as error:
    sys.exit(f"\n{error}\n")
# Scripts read the device from here: it is no rerun trigger, since it changes no setting of a run.
config["device"] = ALL_SETTINGS[SCALE].device

# By what stands in a path, over all scales: a digest names the same thing in each of them.
PREPARED = {p.folder: p for grid in GRIDS.values() for p in grid.prepared.values()}
PARTITIONS = {p.path: p for grid in GRIDS.values() for p in grid.partitions.values()}
RUNS = {run.folder: run for grid in GRIDS.values() for run in grid.runs}
STUDIES = {folder: s for grid in GRIDS.values() for folder, s in grid.studies.items()}
# What the report says of the recorded foundation model, if there is one.
FOUNDATION_RECORD = ancient(
    [
        f"models/foundation/{name}"
        for name in ("evidence.json", "provenance.json", "samples.png")
        if os.path.exists(f"models/foundation/{name}")
    ]
)
JOB_GPUS = 0 if config["device"] == "cpu" else 1


wildcard_constraints:
    dataset="[a-z0-9_]+",
    experiment="[a-zA-Z0-9_.-]+",
    method="[a-z0-9_]+",
    seed=r"\d+",
    scale="|".join(configuration.SCALES),
    digest="[0-9a-f]{10}",


def run_of(wildcards):
    return RUNS["results/runs/{experiment}/{method}/seed{seed}-{digest}".format(**wildcards)]


def partition_path(wildcards):
    return "data/partitions/{experiment}/seed{seed}-{digest}.json".format(**wildcards)


UPLOADS_FOLDER = "results/weights/{experiment}/seed{seed}-{digest}"
FIT_FOLDER = "results/weights/{experiment}/seed{seed}/{fit}-{digest}"
NEWCOMERS_FOLDER = "results/newcomers/{experiment}/seed{seed}-{digest}"
ADAPTER_FOLDER = "results/synthesis/{experiment}/seed{seed}/adapter{client}-{digest}"
IMAGES_FOLDER = "results/synthesis/{experiment}/seed{seed}/images{client}-{digest}"
PROMPTS_FOLDER = "results/synthesis/prompts/{dataset}/seed{seed}-{digest}"
WARM_FOLDER = "results/synthesis/{experiment}/seed{seed}/warm_{name}-{digest}"
EXAMINED_FOLDER = "results/synthesis/{experiment}/seed{seed}/examined-{digest}"
CLASSIFIERS_FOLDER = "results/fedlmg/{experiment}/seed{seed}/classifiers-{digest}"
GUIDED_FOLDER = "results/fedlmg/{experiment}/seed{seed}/guided_{name}-{digest}"
RIVAL_FOLDER = "results/fedlmg/{experiment}/seed{seed}/rival_{name}-{digest}"
DENSE_FOLDER = "results/fedlmg/{experiment}/seed{seed}/dense-{digest}"
SERVER_FOLDER = "results/fedlmg/{experiment}/seed{seed}/server_{name}-{digest}"


# Functions of wildcards; ``of`` is one that finds a run or a study.
def at(folder):
    return lambda wildcards: STUDIES[folder.format(**wildcards)]


def code_of(of):
    return lambda wildcards: of(wildcards).code


def settings_of(of):
    return lambda wildcards: of(wildcards).settings


def data_of(of):
    return ancient(lambda wildcards: f"{of(wildcards).data.folder}/data.safetensors")


def data_and_partition(of):
    return {
        "data": data_of(of),
        "partition": ancient(lambda wildcards: of(wildcards).partition.path),
    }


def after(of, name, *kinds):
    """The file ``name`` of each study of these kinds that a study builds on."""
    return ancient(
        lambda wildcards: [
            f"{study.folder}/{name}" for study in of(wildcards).after if study.kind in kinds
        ]
    )


def names_after(of, kind):
    """The names of the studies of this kind that a study builds on, in the order of ``after``."""
    return lambda wildcards: [study.name for study in of(wildcards).after if study.kind == kind]


def the(of, name, kind):
    """The file ``name`` of the one study of this kind that a study builds on."""
    return ancient(
        lambda wildcards: next(
            f"{study.folder}/{name}" for study in of(wildcards).after if study.kind == kind
        )
    )


def beside(of, file, name):
    """``file`` of the study called ``name`` that a study builds on, if it does."""
    return ancient(
        lambda wildcards: [
            f"{study.folder}/{file}" for study in of(wildcards).after if study.name == name
        ]
    )


def of_run(field, name):
    """The file ``name`` of each study in a field of a run."""
    return ancient(
        lambda wildcards: [f"{s.folder}/{name}" for s in getattr(run_of(wildcards), field)]
    )


def run_files(scale, name):
    return [f"{run.folder}/{name}" for run in GRIDS[scale].runs]


def study_files(scale):
    return [entry[0] for entry in GRIDS[scale].study_listing()]


def synthesis_files(scale):
    return [entry[0] for entry in GRIDS[scale].synthesis_listing()]


def fedlmg_files(scale):
    return [entry[0] for entry in GRIDS[scale].fedlmg_listing()]


def measured_files(scale):
    reports = [*study_files(scale), *synthesis_files(scale), *fedlmg_files(scale)]
    return [str(run_file(report)) for report in reports]


def picture_files(scale):
    return [entry[-1] for entry in GRIDS[scale].pictures()]


def collected(scale):
    return f"results/{scale}/collected-{GRIDS[scale].product_digest('collect')}/context.json"


def cards(scale):
    return {name: f"{part.folder}/card.json" for name, part in GRIDS[scale].used_data.items()}


def manifest(scale, product):
    """The file that stands for a product; its digest changes with whatever would change the product."""
    return f"results/{scale}/{product}/{product}-{GRIDS[scale].product_digest(product)}.json"


def partition_files(scale):
    return [part.path for part in GRIDS[scale].partitions.values()]


def results(scale):
    return [
        *run_files(scale, "metrics.json"),
        *study_files(scale),
        *synthesis_files(scale),
        *fedlmg_files(scale),
    ]


def products(scale):
    return [
        *results(scale),
        *(manifest(scale, product) for product in ("tables", "figures", "report")),
    ]


PLANNED = set()  # scales whose plan was printed


def asked(scale, files, part=None):
    """``files`` as a target's input: its plan is printed, or refused, once the target is asked for.

    ``part`` says which part of the scale's grid the target is.
    """

    def found(wildcards):
        if workflow.is_main_process and scale not in PLANNED:
            PLANNED.add(scale)
            show_plan(scale, part)
        return files(scale)

    return found


def show_plan(scale, part):
    grid, in_vain = GRIDS[scale], SELECTED[scale][1]
    if grid.absent and not grid.settings.experiments:
        in_vain = ["no data set of what is asked for is there:", *needs.left_out(grid)]
    if in_vain:
        sys.exit("\n" + "\n".join([*in_vain, "See docs/running.md."]) + "\n")
    whole = f", of which this makes {part}" if part else ""
    said = [f"FedGenBench, scale {scale}{whole}:", forecast(grid)]
    lacking = needs.missing(grid)
    for section in needs.sections(grid, lacking):
        said += section
    print("\n" + "\n".join(said) + "\n", file=sys.stderr)
    # A part may do without; a whole scale would come to it after hours.
    if lacking and not part and not workflow.dryrun:
        sys.exit("Nothing was started: mend what is missing, or leave it out (docs/running.md).\n")


if workflow.is_main_process:
    for altered in forget_altered(Path("results")):
        print(f"Note: {altered}", file=sys.stderr)
    for remark in remarks(config["device"], workflow.resource_settings.cores):
        print(f"Note: {remark}\n", file=sys.stderr)


onstart:
    try:
        started(config["device"], workflow.local_exec)
    except UserError as error:
        sys.exit(f"\n{error}\n")
