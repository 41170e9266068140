# pFedGPA's generator apart from the rounds: on saved uploads, and for clients that join later.
wildcard_constraints:
    fit="[a-zA-Z0-9_]+",


rule weights_uploads:
    input:
        **data_and_partition(at(UPLOADS_FOLDER)),
    output:
        uploads=f"{UPLOADS_FOLDER}/uploads.safetensors",
        report=f"{UPLOADS_FOLDER}/uploads.json",
        run=f"{UPLOADS_FOLDER}/uploads.run.json",
    log:
        "results/logs/weights/{experiment}/seed{seed}-{digest}.log",
    benchmark:
        "results/benchmarks/weights/{experiment}/seed{seed}-{digest}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=code_of(at(UPLOADS_FOLDER)),
        settings=settings_of(at(UPLOADS_FOLDER)),
        checkpoint="results/checkpoints/weights/{experiment}/seed{seed}-{digest}.safetensors",
    script:
        "../workflow_scripts/weights_uploads.py"


rule weights_fit:
    input:
        **data_and_partition(at(FIT_FOLDER)),
        uploads=the(at(FIT_FOLDER), "uploads.safetensors", "uploads"),
    output:
        generator=f"{FIT_FOLDER}/generator.safetensors",
        report=f"{FIT_FOLDER}/fit.json",
        run=f"{FIT_FOLDER}/fit.run.json",
    log:
        "results/logs/weights/{experiment}/seed{seed}/{fit}-{digest}-fit.log",
    benchmark:
        "results/benchmarks/weights/{experiment}/seed{seed}/{fit}-{digest}-fit.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=code_of(at(FIT_FOLDER)),
        settings=settings_of(at(FIT_FOLDER)),
    script:
        "../workflow_scripts/weights_fit.py"


rule weights_aggregate:
    input:
        **data_and_partition(at(FIT_FOLDER)),
        uploads=the(at(FIT_FOLDER), "uploads.safetensors", "uploads"),
        generator=ancient(rules.weights_fit.output.generator),
    output:
        rows=f"{FIT_FOLDER}/aggregate.json",
        run=f"{FIT_FOLDER}/aggregate.run.json",
    log:
        "results/logs/weights/{experiment}/seed{seed}/{fit}-{digest}-aggregate.log",
    benchmark:
        "results/benchmarks/weights/{experiment}/seed{seed}/{fit}-{digest}-aggregate.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=code_of(at(FIT_FOLDER)),
        settings=settings_of(at(FIT_FOLDER)),
    script:
        "../workflow_scripts/weights_aggregate.py"


rule newcomers:
    input:
        **data_and_partition(at(NEWCOMERS_FOLDER)),
    output:
        report=f"{NEWCOMERS_FOLDER}/newcomers.json",
        run=f"{NEWCOMERS_FOLDER}/newcomers.run.json",
    log:
        "results/logs/newcomers/{experiment}/seed{seed}-{digest}.log",
    benchmark:
        "results/benchmarks/newcomers/{experiment}/seed{seed}-{digest}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=code_of(at(NEWCOMERS_FOLDER)),
        settings=settings_of(at(NEWCOMERS_FOLDER)),
        checkpoint="results/checkpoints/newcomers/{experiment}/seed{seed}-{digest}",
    script:
        "../workflow_scripts/newcomers.py"
