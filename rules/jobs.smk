# The systems' jobs: a rule per kind, and a target per system that makes all of its jobs.
FOLDER = "results/runs/{experiment}/{row}/seed{seed}-{digest}"
ADDRESS = "{experiment}/{row}/seed{seed}-{digest}"


def job_of(wildcards):
    return JOBS[FOLDER.format(**wildcards)]


def files_of(name):
    return ancient(lambda wildcards: job_of(wildcards).input_files(name))


for kind in systems.kinds().values():

    rule:
        name:
            kind.name
        input:
            **{name: files_of(name) for name in kind.inputs},
            data=ancient(lambda wildcards: f"{job_of(wildcards).data.folder}/data.safetensors"),
            partition=ancient(
                lambda wildcards: [p.path for p in (job_of(wildcards).partition,) if p]
            ),
        output:
            **{name: f"{FOLDER}/{file}" for name, file in kind.files.items()},
        log:
            f"results/logs/{kind.name}/{ADDRESS}.log",
        wildcard_constraints:
            row=kind.rows,
        retries: 1
        conda:
            "../environment.yml"
        threads: 1
        resources:
            gpu=JOB_GPUS,
        params:
            run=kind.run,
            name=lambda wildcards: job_of(wildcards).name,
            code=lambda wildcards: job_of(wildcards).code,
            settings=lambda wildcards: job_of(wildcards).settings,
            checkpoint=f"results/checkpoints/{kind.name}/{ADDRESS}",
        script:
            "../workflow_scripts/job.py"


def files_of_system(name):
    return lambda scale: [job.metrics for job in GRIDS[scale].of_system(name)]


for system in systems.systems().values():
    if system.kinds:

        rule:
            name:
                system.name
            input:
                asked(SCALE, files_of_system(system.name), part=f"the jobs of {system.name}"),
