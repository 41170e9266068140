# collect -> tables, figures -> report


rule collect:
    input:
        lambda wildcards: run_files(wildcards.scale, "metrics.json"),
        lambda wildcards: run_files(wildcards.scale, "run.json"),
        lambda wildcards: study_files(wildcards.scale),
        lambda wildcards: synthesis_files(wildcards.scale),
        lambda wildcards: picture_files(wildcards.scale),
        lambda wildcards: fedlmg_files(wildcards.scale),
        lambda wildcards: measured_files(wildcards.scale),
        lambda wildcards: [e[-1] for e in GRIDS[wildcards.scale].guided_images()],
        ancient(lambda wildcards: list(cards(wildcards.scale).values())),
    output:
        context="results/{scale}/collected-{digest}/context.json",
        frames=expand(
            "results/{{scale}}/collected-{{digest}}/{name}.parquet",
            name=[
                "scores",
                "rounds",
                "runs",
                "server",
                "weights",
                "newcomers",
                "synthesis",
                "fedlmg",
                "measured_runs",
                "measured_synthesis",
                "measured_fedlmg",
            ],
        ),
    log:
        "results/logs/collect/{scale}-{digest}.log",
    benchmark:
        "results/benchmarks/collect/{scale}-{digest}.tsv"
    localrule: True
    conda:
        "../environment.yml"
    threads: 1
    params:
        code=job_code("collect"),
        runs=lambda wildcards: GRIDS[wildcards.scale].listing(),
        studies=lambda wildcards: GRIDS[wildcards.scale].study_listing(),
        synthesis=lambda wildcards: GRIDS[wildcards.scale].synthesis_listing(),
        pictures=lambda wildcards: GRIDS[wildcards.scale].pictures(),
        fedlmg=lambda wildcards: GRIDS[wildcards.scale].fedlmg_listing(),
        guided=lambda wildcards: GRIDS[wildcards.scale].guided_images(),
        absent=lambda wildcards: GRIDS[wildcards.scale].absent_notes(),
        newcomer_main=lambda wildcards: GRIDS[wildcards.scale].newcomer_main,
        experiments=lambda wildcards: GRIDS[wildcards.scale].experiment_notes(),
        methods=lambda wildcards: GRIDS[wildcards.scale].method_notes(),
        cards=lambda wildcards: cards(wildcards.scale),
        confidence=lambda wildcards: ALL_SETTINGS[wildcards.scale].confidence,
    script:
        "../workflow_scripts/collect.py"


rule tables:
    input:
        collected=lambda wildcards: collected(wildcards.scale),
        published="papers/fedlmg/published.yaml",
    output:
        "results/{scale}/tables/tables-{digest}.json",
    log:
        "results/logs/tables/{scale}-{digest}.log",
    benchmark:
        "results/benchmarks/tables/{scale}-{digest}.tsv"
    localrule: True
    conda:
        "../environment.yml"
    threads: 1
    params:
        code=job_code("tables"),
    script:
        "../workflow_scripts/tables.py"


rule figures:
    input:
        collected=lambda wildcards: collected(wildcards.scale),
        guided=lambda wildcards: [e[-1] for e in GRIDS[wildcards.scale].guided_images()],
        foundation=FOUNDATION_RECORD,
    output:
        "results/{scale}/figures/figures-{digest}.json",
    log:
        "results/logs/figures/{scale}-{digest}.log",
    benchmark:
        "results/benchmarks/figures/{scale}-{digest}.tsv"
    localrule: True
    conda:
        "../environment.yml"
    threads: 1
    params:
        code=job_code("figures"),
    script:
        "../workflow_scripts/figures.py"


rule report:
    input:
        collected=lambda wildcards: collected(wildcards.scale),
        published="papers/fedlmg/published.yaml",
        figures=lambda wildcards: manifest(wildcards.scale, "figures"),
        pictures=lambda wildcards: picture_files(wildcards.scale),
        foundation=FOUNDATION_RECORD,
        cards=ancient(lambda wildcards: list(cards(wildcards.scale).values())),
    output:
        "results/{scale}/report/report-{digest}.json",
    log:
        "results/logs/report/{scale}-{digest}.log",
    benchmark:
        "results/benchmarks/report/{scale}-{digest}.tsv"
    localrule: True
    conda:
        "../environment.yml"
    threads: 1
    params:
        code=job_code("report"),
        cuts=lambda wildcards: GRIDS[wildcards.scale].cuts,
    script:
        "../workflow_scripts/report.py"
