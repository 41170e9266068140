# collect -> tables, figures -> report


rule collect:
    input:
        lambda wildcards: metrics_files(wildcards.scale),
        lambda wildcards: [job.file("run") for job in GRIDS[wildcards.scale].jobs.values()],
        lambda wildcards: picture_files(wildcards.scale),
        ancient(lambda wildcards: list(GRIDS[wildcards.scale].cards.values())),
    output:
        context="results/{scale}/collected-{digest}/context.json",
        frames=expand(
            "results/{{scale}}/collected-{{digest}}/{name}.parquet",
            name=["measurements", "measured", "jobs", "measured_jobs", "answers"],
        ),
    log:
        "results/logs/collect/{scale}-{digest}.log",
    localrule: True
    conda:
        "../environment.yml"
    threads: 1
    params:
        code=lambda wildcards: GRIDS[wildcards.scale].product_code("collect"),
        collection=lambda wildcards: collection(GRIDS[wildcards.scale]),
    script:
        "../workflow_scripts/collect.py"


rule tables:
    input:
        collected=lambda wildcards: collected(wildcards.scale),
        published=files_of_systems("published.yaml"),
        foundation=FOUNDATION_RECORD,
    output:
        "results/{scale}/tables/tables-{digest}.json",
    log:
        "results/logs/tables/{scale}-{digest}.log",
    localrule: True
    conda:
        "../environment.yml"
    threads: 1
    params:
        code=lambda wildcards: GRIDS[wildcards.scale].product_code("tables"),
    script:
        "../workflow_scripts/tables.py"


# `snakemake tables/NAME`: one table, and the jobs that it shows.
rule table:
    input:
        lambda wildcards: [job.metrics for job in table_jobs(wildcards)],
        lambda wildcards: [job.file("run") for job in table_jobs(wildcards)],
        foundation=FOUNDATION_RECORD,
    output:
        directory("tables/{table}"),
    log:
        "results/logs/table/{table}.log",
    localrule: True
    conda:
        "../environment.yml"
    threads: 1
    params:
        code=lambda wildcards: GRIDS[SCALE].product_code("tables"),
        collection=table_collection,
    script:
        "../workflow_scripts/table.py"


rule figures:
    input:
        collected=lambda wildcards: collected(wildcards.scale),
        pictures=lambda wildcards: picture_files(wildcards.scale),
        foundation=FOUNDATION_RECORD,
    output:
        "results/{scale}/figures/figures-{digest}.json",
    log:
        "results/logs/figures/{scale}-{digest}.log",
    localrule: True
    conda:
        "../environment.yml"
    threads: 1
    params:
        code=lambda wildcards: GRIDS[wildcards.scale].product_code("figures"),
    script:
        "../workflow_scripts/figures.py"


rule report:
    input:
        collected=lambda wildcards: collected(wildcards.scale),
        published=files_of_systems("published.yaml"),
        claims=files_of_systems("claims.yaml"),
        figures=lambda wildcards: manifest(wildcards.scale, "figures"),
        pictures=lambda wildcards: picture_files(wildcards.scale),
        foundation=FOUNDATION_RECORD,
        cards=ancient(lambda wildcards: list(GRIDS[wildcards.scale].cards.values())),
    output:
        "results/{scale}/report/report-{digest}.json",
    log:
        "results/logs/report/{scale}-{digest}.log",
    localrule: True
    conda:
        "../environment.yml"
    threads: 1
    params:
        code=lambda wildcards: GRIDS[wildcards.scale].product_code("report"),
        cuts=lambda wildcards: GRIDS[wildcards.scale].differences,
    script:
        "../workflow_scripts/report.py"


# `snakemake results/SCALE/annotated`, then the same with `--report FILE.zip`: Snakemake's own report.
rule annotated:
    input:
        collected=lambda wildcards: collected(wildcards.scale),
        published=files_of_systems("published.yaml"),
        figures=lambda wildcards: manifest(wildcards.scale, "figures"),
        foundation=FOUNDATION_RECORD,
    output:
        report(
            directory("results/{scale}/annotated"),
            patterns=["{kind}/{system}/{name}.html"],
            caption="captions/annotated.rst",
            category="{kind}",
            subcategory="{system}",
            labels={"name": "{name}"},
        ),
    log:
        "results/logs/annotated/{scale}.log",
    localrule: True
    conda:
        "../environment.yml"
    threads: 1
    params:
        code=lambda wildcards: GRIDS[wildcards.scale].product_code("annotated"),
    script:
        "../workflow_scripts/annotated.py"


# Documentation and the report as one static site; needs requirements/site.txt.
rule site:
    input:
        report=asked(SCALE, lambda scale: [manifest(scale, "report")], part="the report"),
        pages=["mkdocs.yml", "README.md", *map(str, sorted(Path("docs").rglob("*.md")))],
    output:
        directory("site"),
    log:
        "results/logs/site.log",
    localrule: True
    conda:
        "../environment.yml"
    threads: 1
    params:
        report=lambda wildcards, input: os.path.dirname(input.report),
    shell:
        "python tools/static_site.py {params.report} {output} > {log} 2>&1"
