# One job per method, experiment and seed; rounds live inside and resume from a checkpoint.


rule federate:
    input:
        data=lambda wildcards: f"{run_of(wildcards).partition.prepared.folder}/data.safetensors",
        partition=lambda wildcards: run_of(wildcards).partition.path,
    output:
        metrics="results/runs/{experiment}/{method}/seed{seed}-{digest}/metrics.json",
        run="results/runs/{experiment}/{method}/seed{seed}-{digest}/run.json",
    params:
        settings=lambda wildcards: run_of(wildcards).settings,
        checkpoint="results/checkpoints/{experiment}/{method}/seed{seed}-{digest}.safetensors",
    log:
        "results/logs/federate/{experiment}/{method}/seed{seed}-{digest}.log",
    benchmark:
        "results/benchmarks/federate/{experiment}/{method}/seed{seed}-{digest}.tsv"
    threads: 1
    retries: 1
    resources:
        gpu=JOB_GPUS,
    script:
        "../workflow_scripts/federate.py"
