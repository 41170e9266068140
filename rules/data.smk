# fetch -> prepare -> partition
from fedgenbench.data.fetch import source_of
from fedgenbench.runtime.digest import digest


rule fetch:
    output:
        "data/raw/{dataset}/SOURCE.json",
    params:
        source=lambda wildcards: digest(source_of(wildcards.dataset)),
    log:
        "results/logs/fetch/{dataset}.log",
    benchmark:
        "results/benchmarks/fetch/{dataset}.tsv"
    threads: 1
    retries: 2
    script:
        "../workflow_scripts/fetch.py"


rule prepare:
    input:
        "data/raw/{dataset}/SOURCE.json",
    output:
        "data/prepared/{dataset}-{digest}/card.json",
        "data/prepared/{dataset}-{digest}/data.safetensors",
    params:
        limit_per_class=lambda wildcards, output: PREPARED[os.path.dirname(output[0])].limit_per_class,
    log:
        "results/logs/prepare/{dataset}-{digest}.log",
    benchmark:
        "results/benchmarks/prepare/{dataset}-{digest}.tsv"
    threads: 1
    script:
        "../workflow_scripts/prepare.py"


rule partition:
    input:
        lambda wildcards: f"{PARTITIONS[partition_path(wildcards)].prepared.folder}/card.json",
    output:
        "data/partitions/{experiment}/seed{seed}-{digest}.json",
    params:
        scheme=lambda wildcards: PARTITIONS[partition_path(wildcards)].scheme,
        seed=lambda wildcards: int(wildcards.seed),
    log:
        "results/logs/partition/{experiment}/seed{seed}-{digest}.log",
    benchmark:
        "results/benchmarks/partition/{experiment}/seed{seed}-{digest}.tsv"
    threads: 1
    script:
        "../workflow_scripts/partition.py"
