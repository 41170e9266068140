# The miniature Stable Diffusion of the embedded scale: autoencoder, U-Net with text encoder, evidence.
# The recorded weights are in models/foundation; `snakemake foundation` trains them anew.
from fedgenbench.foundation.plan import Plan

FOUNDATIONS = {
    name: Plan(
        grid.settings.foundation,
        grid.prepared["emoji_domains"].digest,
        {part: job_code(f"foundation_{part}") for part in ("vae", "unet", "evaluate")},
    )
    for name, grid in GRIDS.items()
}


def foundation_plan(part):
    """Which scale's plan a digest belongs to."""
    return lambda wildcards: next(
        plan for plan in FOUNDATIONS.values() if getattr(plan, part) == wildcards.digest
    )


def foundation_data(part):
    def path(wildcards):
        digest = foundation_plan(part)(wildcards).data
        return f"data/prepared/emoji_domains-{digest}/data.safetensors"

    return path


rule foundation:
    input:
        f"results/foundation/evidence-{FOUNDATIONS[SCALE].evaluate}/evidence.json",


rule foundation_vae:
    input:
        data=ancient(foundation_data("vae")),
    output:
        weights=directory("results/foundation/vae-{digest}/vae"),
        run="results/foundation/vae-{digest}/run.json",
    log:
        "results/logs/foundation/vae-{digest}.log",
    benchmark:
        "results/benchmarks/foundation/vae-{digest}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=lambda wildcards: foundation_plan("vae")(wildcards).codes["vae"],
        settings=lambda wildcards: foundation_plan("vae")(wildcards).settings.model_dump(),
        checkpoint="results/checkpoints/foundation/vae-{digest}.safetensors",
    script:
        "../workflow_scripts/foundation_vae.py"


rule foundation_unet:
    input:
        data=ancient(foundation_data("unet")),
        vae=lambda wildcards: f"results/foundation/vae-{foundation_plan('unet')(wildcards).vae}/vae",
        vae_run=lambda wildcards: (
            f"results/foundation/vae-{foundation_plan('unet')(wildcards).vae}/run.json"
        ),
    output:
        model=directory("results/foundation/model-{digest}/model"),
        run="results/foundation/model-{digest}/run.json",
    log:
        "results/logs/foundation/model-{digest}.log",
    benchmark:
        "results/benchmarks/foundation/model-{digest}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=lambda wildcards: foundation_plan("unet")(wildcards).codes["unet"],
        settings=lambda wildcards: foundation_plan("unet")(wildcards).settings.model_dump(),
        checkpoint="results/checkpoints/foundation/model-{digest}.safetensors",
    script:
        "../workflow_scripts/foundation_unet.py"


rule foundation_evaluate:
    input:
        data=ancient(foundation_data("evaluate")),
        model=lambda wildcards: (
            f"results/foundation/model-{foundation_plan('evaluate')(wildcards).unet}/model"
        ),
    output:
        evidence="results/foundation/evidence-{digest}/evidence.json",
        samples="results/foundation/evidence-{digest}/samples.png",
        nearest="results/foundation/evidence-{digest}/nearest.png",
        vae="results/foundation/evidence-{digest}/vae.png",
    log:
        "results/logs/foundation/evidence-{digest}.log",
    benchmark:
        "results/benchmarks/foundation/evidence-{digest}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=lambda wildcards: foundation_plan("evaluate")(wildcards).codes["evaluate"],
        settings=lambda wildcards: foundation_plan("evaluate")(wildcards).settings.model_dump(),
    script:
        "../workflow_scripts/foundation_evaluate.py"
