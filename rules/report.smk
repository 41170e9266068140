# collect -> tables, figures -> report


def collected(scale):
    return f"results/{scale}/collected-{GRIDS[scale].product_digest('collect.py')}/context.json"


def cards(scale):
    return {name: f"{part.folder}/card.json" for name, part in GRIDS[scale].used_data.items()}


rule collect:
    input:
        lambda wildcards: run_files(wildcards.scale, "metrics.json"),
        lambda wildcards: run_files(wildcards.scale, "run.json"),
        lambda wildcards: list(cards(wildcards.scale).values()),
    output:
        context="results/{scale}/collected-{digest}/context.json",
        frames=expand(
            "results/{{scale}}/collected-{{digest}}/{name}.parquet", name=["scores", "rounds", "runs"]
        ),
        metrics="results/{scale}/collected-{digest}/metrics.json",
    params:
        runs=lambda wildcards: GRIDS[wildcards.scale].listing(),
        experiments=lambda wildcards: GRIDS[wildcards.scale].experiment_notes(),
        methods=lambda wildcards: GRIDS[wildcards.scale].method_notes(),
        cards=lambda wildcards: cards(wildcards.scale),
        confidence=lambda wildcards: ALL_SETTINGS[wildcards.scale].confidence,
    log:
        "results/logs/collect/{scale}-{digest}.log",
    benchmark:
        "results/benchmarks/collect/{scale}-{digest}.tsv"
    threads: 1
    script:
        "../workflow_scripts/collect.py"


rule tables:
    input:
        lambda wildcards: collected(wildcards.scale),
    output:
        "results/{scale}/tables/tables-{digest}.json",
    log:
        "results/logs/tables/{scale}-{digest}.log",
    benchmark:
        "results/benchmarks/tables/{scale}-{digest}.tsv"
    threads: 1
    script:
        "../workflow_scripts/tables.py"


rule figures:
    input:
        lambda wildcards: collected(wildcards.scale),
    output:
        "results/{scale}/figures/figures-{digest}.json",
    log:
        "results/logs/figures/{scale}-{digest}.log",
    benchmark:
        "results/benchmarks/figures/{scale}-{digest}.tsv"
    threads: 1
    script:
        "../workflow_scripts/figures.py"


rule report:
    input:
        collected=lambda wildcards: collected(wildcards.scale),
        figures=lambda wildcards: manifest(wildcards.scale, "figures"),
    output:
        "results/{scale}/report/report-{digest}.json",
    params:
        cards=lambda wildcards: list(cards(wildcards.scale).values()),
        cuts=lambda wildcards: cuts(ALL_SETTINGS[wildcards.scale], ALL_SETTINGS["paper"]),
    log:
        "results/logs/report/{scale}-{digest}.log",
    benchmark:
        "results/benchmarks/report/{scale}-{digest}.tsv"
    threads: 1
    script:
        "../workflow_scripts/report.py"
