# The workflow: fetch, prepare, partition, the systems' jobs, collect, tables, figures, report.
# `snakemake --cores all --resources gpu=4` runs the scale that params.yaml names;
# `snakemake smoke` (or embedded, paper) runs another. profiles/default is picked up by itself.

from snakemake.utils import min_version

min_version("9.0")


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/jobs.smk"
include: "rules/foundation.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        asked(SCALE, products),


rule smoke:
    input:
        asked("smoke", products),


rule embedded:
    input:
        asked("embedded", products),


rule paper:
    input:
        asked("paper", products),


rule data:
    input:
        asked(SCALE, partition_files, part="the data and its partitions"),


rule runs:
    input:
        asked(SCALE, metrics_files, part="the jobs of all systems"),
