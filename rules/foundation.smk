# The miniature Stable Diffusion of the embedded scale: pool, autoencoder, U-Net with text encoder, evidence.
# `snakemake foundation` trains the model of open subjects (recorded in models/foundation), `snakemake
# foundation_strict` that of strict ones.
# Beside it the miniature unCLIP, recorded in models/unclip; `snakemake unclip` trains that anew.
from fedgenbench.systems.foundation.plan import Plan
from fedgenbench.systems.foundation.settings import Foundation, PoolJob, UNetJob, VaeJob
from fedgenbench.systems.foundation.unclip_settings import UnCLIPPlan

FOUNDATION_PLANS = {
    (name, subjects): Plan(
        grid.settings.foundation.model_copy(update={"subjects": subjects}),
        grid.prepared["public_drawings"].folder,
        grid.prepared["emoji_domains"].folder,
        {part: job_code(f"foundation_{part}") for part in ("pool", "vae", "unet", "evaluate")},
    )
    for name, grid in GRIDS.items()
    for subjects in ("open", "strict")
    if {"emoji_domains", "public_drawings"} <= grid.prepared.keys()
}
# By the digest in a path, over all scales.
FOUNDATION_POOL = {plan.pool: plan for plan in FOUNDATION_PLANS.values()}
FOUNDATION_VAE = {plan.vae: plan for plan in FOUNDATION_PLANS.values()}
FOUNDATION_UNET = {plan.unet: plan for plan in FOUNDATION_PLANS.values()}
FOUNDATION_EVIDENCE = {plan.evaluate: plan for plan in FOUNDATION_PLANS.values()}
POOL = "results/foundation/pool-{}/pool.safetensors"

UNCLIP_PLANS = {
    name: UnCLIPPlan(GRIDS[name].settings.unclip, plan.pool, job_code("foundation_unclip"))
    for (name, subjects), plan in FOUNDATION_PLANS.items()
    if subjects == "open"
}
UNCLIP = {plan.digest: plan for plan in UNCLIP_PLANS.values()}


rule foundation:
    input:
        [
            f"results/foundation/evidence-{plan.evaluate}/evidence.json"
            for (scale, subjects), plan in FOUNDATION_PLANS.items()
            if (scale, subjects) == (SCALE, "open")
        ],


rule foundation_strict:
    input:
        [
            f"results/foundation/evidence-{plan.evaluate}/evidence.json"
            for (scale, subjects), plan in FOUNDATION_PLANS.items()
            if (scale, subjects) == (SCALE, "strict")
        ],


rule foundation_pool:
    input:
        ancient(lambda wildcards: f"{FOUNDATION_POOL[wildcards.digest].drawings}/data.safetensors"),
        ancient(lambda wildcards: f"{FOUNDATION_POOL[wildcards.digest].private}/data.safetensors"),
    output:
        pool="results/foundation/pool-{digest}/pool.safetensors",
        record="results/foundation/pool-{digest}/pool.json",
        twins="results/foundation/pool-{digest}/twins.png",
    log:
        "results/logs/foundation/pool-{digest}.log",
    conda:
        "../environment.yml"
    threads: 1
    params:
        code=lambda wildcards: FOUNDATION_POOL[wildcards.digest].codes["pool"],
        settings=lambda wildcards: FOUNDATION_POOL[wildcards.digest].job(PoolJob),
    script:
        "../workflow_scripts/foundation_pool.py"


rule foundation_vae:
    input:
        pool=ancient(lambda wildcards: POOL.format(FOUNDATION_VAE[wildcards.digest].pool)),
    output:
        weights=directory("results/foundation/vae-{digest}/vae"),
        run="results/foundation/vae-{digest}/run.json",
    log:
        "results/logs/foundation/vae-{digest}.log",
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=lambda wildcards: FOUNDATION_VAE[wildcards.digest].codes["vae"],
        settings=lambda wildcards: FOUNDATION_VAE[wildcards.digest].job(VaeJob),
        checkpoint=lambda wildcards: FOUNDATION_VAE[wildcards.digest].checkpoint("vae"),
    script:
        "../workflow_scripts/foundation_vae.py"


rule foundation_unet:
    input:
        pool=ancient(lambda wildcards: POOL.format(FOUNDATION_UNET[wildcards.digest].pool)),
        vae=lambda wildcards: f"results/foundation/vae-{FOUNDATION_UNET[wildcards.digest].vae}/vae",
        vae_run=lambda wildcards: (
            f"results/foundation/vae-{FOUNDATION_UNET[wildcards.digest].vae}/run.json"
        ),
    output:
        model=directory("results/foundation/model-{digest}/model"),
        run="results/foundation/model-{digest}/run.json",
    log:
        "results/logs/foundation/model-{digest}.log",
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=lambda wildcards: FOUNDATION_UNET[wildcards.digest].codes["unet"],
        settings=lambda wildcards: FOUNDATION_UNET[wildcards.digest].job(UNetJob),
        checkpoint=lambda wildcards: FOUNDATION_UNET[wildcards.digest].checkpoint("unet"),
    script:
        "../workflow_scripts/foundation_unet.py"


rule foundation_evaluate:
    input:
        pool=ancient(lambda wildcards: POOL.format(FOUNDATION_EVIDENCE[wildcards.digest].pool)),
        data=ancient(
            lambda wildcards: f"{FOUNDATION_EVIDENCE[wildcards.digest].private}/data.safetensors"
        ),
        model=lambda wildcards: (
            f"results/foundation/model-{FOUNDATION_EVIDENCE[wildcards.digest].unet}/model"
        ),
        inception=ancient("data/raw/inception/SOURCE.json"),
    output:
        evidence="results/foundation/evidence-{digest}/evidence.json",
        samples="results/foundation/evidence-{digest}/samples.png",
        nearest="results/foundation/evidence-{digest}/nearest.png",
        styles="results/foundation/evidence-{digest}/styles.png",
        vae="results/foundation/evidence-{digest}/vae.png",
    log:
        "results/logs/foundation/evidence-{digest}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=lambda wildcards: FOUNDATION_EVIDENCE[wildcards.digest].codes["evaluate"],
        settings=lambda wildcards: FOUNDATION_EVIDENCE[wildcards.digest].job(Foundation),
        weights=source_digest("inception"),
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
        pool=ancient(lambda wildcards: POOL.format(UNCLIP[wildcards.digest].pool)),
    output:
        model=directory("results/foundation/unclip-{digest}/model"),
        run="results/foundation/unclip-{digest}/run.json",
        evidence="results/foundation/unclip-{digest}/evidence.json",
    log:
        "results/logs/foundation/unclip-{digest}.log",
    retries: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=JOB_GPUS,
    params:
        code=lambda wildcards: UNCLIP[wildcards.digest].code,
        settings=lambda wildcards: UNCLIP[wildcards.digest].settings.model_dump(),
        checkpoint="results/checkpoints/foundation/unclip-{digest}",
    script:
        "../workflow_scripts/foundation_unclip.py"
