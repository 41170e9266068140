# The workflow: fetch, prepare, partition, federate, the studies of client weights, collect, tables, figures, report.
# `snakemake --cores all --resources gpu=4` runs the scale that params.yaml names;
# `snakemake smoke` (or embedded, paper) runs another. profiles/default is picked up by itself.

from snakemake.utils import min_version

min_version("9.0")


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/federated.smk"
include: "rules/weights.smk"
include: "rules/synthesis.smk"
include: "rules/fedlmg.smk"
include: "rules/foundation.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        products(SCALE),


rule smoke:
    input:
        products("smoke"),


rule embedded:
    input:
        products("embedded"),


rule paper:
    input:
        products("paper"),


rule data:
    input:
        [part.path for part in GRIDS[SCALE].partitions.values()],


rule runs:
    input:
        run_files(SCALE, "metrics.json"),
        study_files(SCALE),
        synthesis_files(SCALE),
        fedlmg_files(SCALE),
