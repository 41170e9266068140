# FedLMG: the clients' classifiers, images under their guidance, its rivals, the server's models.


rule fedlmg:
    input:
        asked(SCALE, fedlmg_files, part="FedLMG's studies"),


rule classifiers:
    input:
        **data_and_partition(at(CLASSIFIERS_FOLDER)),
    output:
        models=f"{CLASSIFIERS_FOLDER}/classifiers.safetensors",
        report=f"{CLASSIFIERS_FOLDER}/classifiers.json",
        run=f"{CLASSIFIERS_FOLDER}/classifiers.run.json",
    log:
        "results/logs/classifiers/{experiment}/seed{seed}-{digest}.log",
    benchmark:
        "results/benchmarks/classifiers/{experiment}/seed{seed}-{digest}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=code_of(at(CLASSIFIERS_FOLDER)),
        settings=settings_of(at(CLASSIFIERS_FOLDER)),
        checkpoint="results/checkpoints/classifiers/{experiment}/seed{seed}-{digest}",
    script:
        "../workflow_scripts/classifiers.py"


rule guide:
    input:
        data=data_of(at(GUIDED_FOLDER)),
        models=the(at(GUIDED_FOLDER), "classifiers.safetensors", "classifiers"),
    output:
        images=f"{GUIDED_FOLDER}/images.safetensors",
        shown=f"{GUIDED_FOLDER}/shown.safetensors",
        report=f"{GUIDED_FOLDER}/guided.json",
        run=f"{GUIDED_FOLDER}/guided.run.json",
    log:
        "results/logs/guide/{experiment}/seed{seed}/{name}-{digest}.log",
    benchmark:
        "results/benchmarks/guide/{experiment}/seed{seed}/{name}-{digest}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=code_of(at(GUIDED_FOLDER)),
        settings=settings_of(at(GUIDED_FOLDER)),
        batches="results/checkpoints/guide/{experiment}/seed{seed}/{name}-{digest}",
    script:
        "../workflow_scripts/guide.py"


rule rival:
    input:
        **data_and_partition(at(RIVAL_FOLDER)),
    output:
        images=f"{RIVAL_FOLDER}/images.safetensors",
        shown=f"{RIVAL_FOLDER}/shown.safetensors",
        report=f"{RIVAL_FOLDER}/rival.json",
        run=f"{RIVAL_FOLDER}/rival.run.json",
    log:
        "results/logs/rival/{experiment}/seed{seed}/{name}-{digest}.log",
    benchmark:
        "results/benchmarks/rival/{experiment}/seed{seed}/{name}-{digest}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=code_of(at(RIVAL_FOLDER)),
        settings=settings_of(at(RIVAL_FOLDER)),
        batches="results/checkpoints/rival/{experiment}/seed{seed}/{name}-{digest}",
    script:
        "../workflow_scripts/rival.py"


rule dense:
    input:
        **data_and_partition(at(DENSE_FOLDER)),
        models=the(at(DENSE_FOLDER), "classifiers.safetensors", "classifiers"),
    output:
        report=f"{DENSE_FOLDER}/dense.json",
        run=f"{DENSE_FOLDER}/dense.run.json",
    log:
        "results/logs/dense/{experiment}/seed{seed}-{digest}.log",
    benchmark:
        "results/benchmarks/dense/{experiment}/seed{seed}-{digest}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=code_of(at(DENSE_FOLDER)),
        settings=settings_of(at(DENSE_FOLDER)),
        turns="results/checkpoints/dense/{experiment}/seed{seed}-{digest}",
    script:
        "../workflow_scripts/dense.py"


rule server:
    input:
        **data_and_partition(at(SERVER_FOLDER)),
        models=the(at(SERVER_FOLDER), "classifiers.safetensors", "classifiers"),
        images=the(at(SERVER_FOLDER), "images.safetensors", "guided"),
        prompts=beside(at(SERVER_FOLDER), "images.safetensors", "prompts"),
        rivals=after(at(SERVER_FOLDER), "images.safetensors", "rival"),
    output:
        report=f"{SERVER_FOLDER}/server.json",
        run=f"{SERVER_FOLDER}/server.run.json",
    log:
        "results/logs/server/{experiment}/seed{seed}/{name}-{digest}.log",
    benchmark:
        "results/benchmarks/server/{experiment}/seed{seed}/{name}-{digest}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=code_of(at(SERVER_FOLDER)),
        rivals=names_after(at(SERVER_FOLDER), "rival"),
        settings=settings_of(at(SERVER_FOLDER)),
    script:
        "../workflow_scripts/server.py"
