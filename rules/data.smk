# fetch -> prepare -> partition
# What is fetched or prepared anew has equal content (its pins and its digest say so), which is no
# reason to train again: hence ancient().


rule fetch:
    output:
        "data/raw/{dataset}/SOURCE.json",
    log:
        "results/logs/fetch/{dataset}.log",
    retries: 2
    localrule: True
    conda:
        "../environment.yml"
    threads: 1
    params:
        source=lambda wildcards: source_digest(wildcards.dataset),
    script:
        "../workflow_scripts/fetch.py"


rule prepare:
    input:
        raw_files,
    output:
        "data/prepared/{dataset}-{digest}/card.json",
        "data/prepared/{dataset}-{digest}/data.safetensors",
    log:
        "results/logs/prepare/{dataset}-{digest}.log",
    conda:
        "../environment.yml"
    threads: 1
    params:
        code=lambda wildcards, output: PREPARED[os.path.dirname(output[0])].code,
        options=lambda wildcards, output: PREPARED[os.path.dirname(output[0])].options,
    script:
        "../workflow_scripts/prepare.py"


rule partition:
    input:
        ancient(
            lambda wildcards: f"{PARTITIONS[partition_path(wildcards)].prepared.folder}/card.json"
        ),
    output:
        "data/partitions/{experiment}/seed{seed}-{digest}.json",
    log:
        "results/logs/partition/{experiment}/seed{seed}-{digest}.log",
    localrule: True
    conda:
        "../environment.yml"
    threads: 1
    params:
        code=job_code("partition"),
        scheme=lambda wildcards: PARTITIONS[partition_path(wildcards)].scheme,
        seed=lambda wildcards: int(wildcards.seed),
    script:
        "../workflow_scripts/partition.py"
