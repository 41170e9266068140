# The miniature Stable Diffusion of the embedded scale: autoencoder, U-Net with text encoder, evidence.
# The recorded weights are in models/foundation; `snakemake foundation` trains them anew.
# Beside it the miniature unCLIP, recorded in models/unclip; `snakemake unclip` trains that anew.
from fedgenbench.foundation.plan import Plan
from fedgenbench.foundation.settings import Foundation, UNetJob, VaeJob
from fedgenbench.foundation.unclip_settings import UnCLIPPlan

FOUNDATION_PLANS = {
    name: Plan(
        grid.settings.foundation,
        grid.prepared["emoji_domains"].digest,
        {part: job_code(f"foundation_{part}") for part in ("vae", "unet", "evaluate")},
    )
    for name, grid in GRIDS.items()
    if "emoji_domains" in grid.prepared
}
# By the digest in a path, over all scales.
FOUNDATION_VAE = {plan.vae: plan for plan in FOUNDATION_PLANS.values()}
FOUNDATION_UNET = {plan.unet: plan for plan in FOUNDATION_PLANS.values()}
FOUNDATION_EVIDENCE = {plan.evaluate: plan for plan in FOUNDATION_PLANS.values()}
FOUNDATION_DATA = "data/prepared/emoji_domains-{}/data.safetensors"

UNCLIP_PLANS = {
    name: UnCLIPPlan(
        grid.settings.unclip,
        grid.settings.foundation.holdout,
        grid.prepared["emoji_domains"].digest,
        job_code("foundation_unclip"),
    )
    for name, grid in GRIDS.items()
    if "emoji_domains" in grid.prepared
}
UNCLIP = {plan.digest: plan for plan in UNCLIP_PLANS.values()}


rule foundation:
    input:
        [
            f"results/foundation/evidence-{plan.evaluate}/evidence.json"
            for scale, plan in FOUNDATION_PLANS.items()
            if scale == SCALE
        ],


rule foundation_vae:
    input:
        data=ancient(
            lambda wildcards: FOUNDATION_DATA.format(FOUNDATION_VAE[wildcards.digest].data)
        ),
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
        code=lambda wildcards: FOUNDATION_VAE[wildcards.digest].codes["vae"],
        settings=lambda wildcards: FOUNDATION_VAE[wildcards.digest].job(VaeJob),
        checkpoint="results/checkpoints/foundation/vae-{digest}.safetensors",
    script:
        "../workflow_scripts/foundation_vae.py"


rule foundation_unet:
    input:
        data=ancient(
            lambda wildcards: FOUNDATION_DATA.format(FOUNDATION_UNET[wildcards.digest].data)
        ),
        vae=lambda wildcards: f"results/foundation/vae-{FOUNDATION_UNET[wildcards.digest].vae}/vae",
        vae_run=lambda wildcards: (
            f"results/foundation/vae-{FOUNDATION_UNET[wildcards.digest].vae}/run.json"
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
        code=lambda wildcards: FOUNDATION_UNET[wildcards.digest].codes["unet"],
        settings=lambda wildcards: FOUNDATION_UNET[wildcards.digest].job(UNetJob),
        checkpoint="results/checkpoints/foundation/model-{digest}.safetensors",
    script:
        "../workflow_scripts/foundation_unet.py"


rule foundation_evaluate:
    input:
        data=ancient(
            lambda wildcards: FOUNDATION_DATA.format(FOUNDATION_EVIDENCE[wildcards.digest].data)
        ),
        model=lambda wildcards: (
            f"results/foundation/model-{FOUNDATION_EVIDENCE[wildcards.digest].unet}/model"
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
        code=lambda wildcards: FOUNDATION_EVIDENCE[wildcards.digest].codes["evaluate"],
        settings=lambda wildcards: FOUNDATION_EVIDENCE[wildcards.digest].job(Foundation),
    script:
        "../workflow_scripts/foundation_evaluate.py"


rule unclip:
    input:
        [
            f"results/foundation/unclip-{plan.digest}/evidence.json"
            for scale, plan in UNCLIP_PLANS.items()
            if scale == SCALE
        ],


rule foundation_unclip:
    input:
        data=ancient(lambda wildcards: FOUNDATION_DATA.format(UNCLIP[wildcards.digest].data)),
    output:
        model=directory("results/foundation/unclip-{digest}/model"),
        run="results/foundation/unclip-{digest}/run.json",
        evidence="results/foundation/unclip-{digest}/evidence.json",
    log:
        "results/logs/foundation/unclip-{digest}.log",
    benchmark:
        "results/benchmarks/foundation/unclip-{digest}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=lambda wildcards: UNCLIP[wildcards.digest].code,
        settings=lambda wildcards: UNCLIP[wildcards.digest].settings.model_dump(),
        holdout=lambda wildcards: UNCLIP[wildcards.digest].holdout,
        checkpoint="results/checkpoints/foundation/unclip-{digest}",
    script:
        "../workflow_scripts/foundation_unclip.py"
