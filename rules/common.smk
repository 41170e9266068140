# Configuration, determinism, and the tables that wildcards are looked up in.
import os
import shlex
import sys
from pathlib import Path

from fedgenbench.commands import forkserver
from fedgenbench.commands.start import remarks, started
from fedgenbench.core.determinism import ENVIRONMENT
from fedgenbench.core.errors import UserError
from fedgenbench.core.products import forget_altered
from fedgenbench.core.scales import SCALES
from fedgenbench.plan import needs
from fedgenbench.plan import settings as configuration
from fedgenbench.plan.collection import collection
from fedgenbench.plan.forecast import forecast
from fedgenbench.plan.grid import Grid
from fedgenbench.plan.jobs import job_code, source_digest
from fedgenbench.plan.selection import require_known, select
from fedgenbench.plan.tables import jobs_of_table
from fedgenbench.systems import base as systems
from fedgenbench.systems import claims

# Before any job's Python starts.
os.environ.update(ENVIRONMENT)
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
    claims.stated()  # a claim that cannot be judged is refused before any work
except UserError as error:
    sys.exit(f"\n{error}\n")
# Scripts read the device from here: it is no rerun trigger, since it changes no setting of a run.
config["device"] = ALL_SETTINGS[SCALE].device

# By what stands in a path, over all scales: a digest names the same thing in each of them.
PREPARED = {p.folder: p for grid in GRIDS.values() for p in grid.prepared.values()}
PARTITIONS = {p.path: p for grid in GRIDS.values() for p in grid.partitions.values()}
JOBS = {folder: job for grid in GRIDS.values() for folder, job in grid.jobs.items()}
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
    table="[a-zA-Z0-9_.-]+",
    experiment="[a-zA-Z0-9_.-]+",
    seed=r"\d+",
    scale="|".join(SCALES),
    digest="[0-9a-f]{10}",


def partition_path(wildcards):
    return "data/partitions/{experiment}/seed{seed}-{digest}.json".format(**wildcards)


def raw_files(wildcards):
    marker = f"data/raw/{wildcards.dataset}/SOURCE.json"
    prepared = f"data/prepared/{wildcards.dataset}-{wildcards.digest}/card.json"
    # Snakemake plans nothing after a job that runs again, not even what is missing, if all that hangs on
    # it is ancient. Other pins are another digest, so what is prepared from them is not there yet.
    return ancient(marker) if os.path.exists(prepared) else marker


def metrics_files(scale):
    return [job.metrics for job in GRIDS[scale].jobs.values()]


def collected(scale):
    return f"results/{scale}/collected-{GRIDS[scale].product_digest('collect')}/context.json"


def files_of_systems(name):
    return [os.path.relpath(path) for path in systems.files(name).values()]


def picture_files(scale):
    return [entry[3] for entry in GRIDS[scale].pictures()]


def table_jobs(wildcards):
    try:
        return jobs_of_table(GRIDS[SCALE], wildcards.table)
    except UserError as error:
        sys.exit(f"\n{error}\n")


def table_collection(wildcards):
    """What is collected of the jobs of one table, which shows no picture."""
    return collection(GRIDS[SCALE], table_jobs(wildcards)) | {"pictures": []}


def manifest(scale, product):
    """The file that stands for a product; its digest changes with whatever would change the product."""
    return f"results/{scale}/{product}/{product}-{GRIDS[scale].product_digest(product)}.json"


def partition_files(scale):
    return [part.path for part in GRIDS[scale].partitions.values()]


def products(scale):
    return [
        *metrics_files(scale),
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
        started(config["device"], workflow.local_exec, workflow.resource_settings.cores)
    except UserError as error:
        sys.exit(f"\n{error}\n")
    if workflow.local_exec:
        # Every job that ended would have Snakemake (9.27) select jobs once more a second, for ever: after
        # hundreds its thread does nothing else, on a core that jobs want.
        workflow.scheduler.job_rate_limiter = None
        sys.executable = forkserver.start()
