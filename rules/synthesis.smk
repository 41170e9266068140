# Adapters, synthetic images, and the model that is trained on them. `snakemake synthesis` makes them all.
wildcard_constraints:
    client=r"\d+",
    name="[a-z0-9_]+",


rule synthesis:
    input:
        asked(SCALE, synthesis_files, part="adapters, synthetic images and what builds on them"),


rule lora:
    input:
        **data_and_partition(at(ADAPTER_FOLDER)),
    output:
        adapter=f"{ADAPTER_FOLDER}/adapter.safetensors",
        report=f"{ADAPTER_FOLDER}/adapter.json",
        run=f"{ADAPTER_FOLDER}/adapter.run.json",
    log:
        "results/logs/lora/{experiment}/seed{seed}/client{client}-{digest}.log",
    benchmark:
        "results/benchmarks/lora/{experiment}/seed{seed}/client{client}-{digest}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=code_of(at(ADAPTER_FOLDER)),
        settings=settings_of(at(ADAPTER_FOLDER)),
        checkpoint="results/checkpoints/lora/{experiment}/seed{seed}/client{client}-{digest}.safetensors",
    script:
        "../workflow_scripts/lora.py"


rule synthesise:
    input:
        data=data_of(at(IMAGES_FOLDER)),
        adapter=the(at(IMAGES_FOLDER), "adapter.safetensors", "adapter"),
    output:
        images=f"{IMAGES_FOLDER}/images.safetensors",
        report=f"{IMAGES_FOLDER}/images.json",
        run=f"{IMAGES_FOLDER}/images.run.json",
    log:
        "results/logs/synthesise/{experiment}/seed{seed}/client{client}-{digest}.log",
    benchmark:
        "results/benchmarks/synthesise/{experiment}/seed{seed}/client{client}-{digest}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=code_of(at(IMAGES_FOLDER)),
        settings=settings_of(at(IMAGES_FOLDER)),
        shards="results/checkpoints/synthesise/{experiment}/seed{seed}/client{client}-{digest}",
    script:
        "../workflow_scripts/synthesise.py"


rule prompts:
    input:
        data=data_of(at(PROMPTS_FOLDER)),
    output:
        images=f"{PROMPTS_FOLDER}/images.safetensors",
        report=f"{PROMPTS_FOLDER}/prompts.json",
        run=f"{PROMPTS_FOLDER}/prompts.run.json",
    log:
        "results/logs/prompts/{dataset}/seed{seed}-{digest}.log",
    benchmark:
        "results/benchmarks/prompts/{dataset}/seed{seed}-{digest}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=code_of(at(PROMPTS_FOLDER)),
        settings=settings_of(at(PROMPTS_FOLDER)),
        shards="results/checkpoints/prompts/{dataset}/seed{seed}-{digest}",
    script:
        "../workflow_scripts/prompts.py"


rule warm_start:
    input:
        data=data_of(at(WARM_FOLDER)),
        images=after(at(WARM_FOLDER), "images.safetensors", "images", "prompts"),
    output:
        model=f"{WARM_FOLDER}/model.safetensors",
        report=f"{WARM_FOLDER}/warm.json",
        run=f"{WARM_FOLDER}/warm.run.json",
    log:
        "results/logs/warm_start/{experiment}/seed{seed}/{name}-{digest}.log",
    benchmark:
        "results/benchmarks/warm_start/{experiment}/seed{seed}/{name}-{digest}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=code_of(at(WARM_FOLDER)),
        settings=settings_of(at(WARM_FOLDER)),
    script:
        "../workflow_scripts/warm_start.py"


rule examine:
    input:
        **data_and_partition(at(EXAMINED_FOLDER)),
        adapters=after(at(EXAMINED_FOLDER), "adapter.safetensors", "adapter"),
        images=after(at(EXAMINED_FOLDER), "images.safetensors", "images"),
        prompts=the(at(EXAMINED_FOLDER), "images.safetensors", "prompts"),
    output:
        report=f"{EXAMINED_FOLDER}/examined.json",
        run=f"{EXAMINED_FOLDER}/examined.run.json",
        embedding=f"{EXAMINED_FOLDER}/tsne.parquet",
        grid=f"{EXAMINED_FOLDER}/grid.png",
        duplicates=f"{EXAMINED_FOLDER}/duplicates.png",
    log:
        "results/logs/examine/{experiment}/seed{seed}-{digest}.log",
    benchmark:
        "results/benchmarks/examine/{experiment}/seed{seed}-{digest}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=code_of(at(EXAMINED_FOLDER)),
        settings=settings_of(at(EXAMINED_FOLDER)),
    script:
        "../workflow_scripts/examine.py"
