# One job per method, experiment and seed; rounds live inside and resume from a checkpoint.


rule federate:
    input:
        **data_and_partition(run_of),
        images=of_run("images", "images.safetensors"),
        adapters=of_run("adapters", "adapter.json"),
        warm=of_run("warm", "model.safetensors"),
    output:
        metrics="results/runs/{experiment}/{method}/seed{seed}-{digest}/metrics.json",
        run="results/runs/{experiment}/{method}/seed{seed}-{digest}/run.json",
    log:
        "results/logs/federate/{experiment}/{method}/seed{seed}-{digest}.log",
    benchmark:
        "results/benchmarks/federate/{experiment}/{method}/seed{seed}-{digest}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=code_of(run_of),
        settings=settings_of(run_of),
        checkpoint="results/checkpoints/{experiment}/{method}/seed{seed}-{digest}.safetensors",
    script:
        "../workflow_scripts/federate.py"
