"""Raw files to arrays and a data card."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.data.prepare import prepare

    prepare(
        snakemake.wildcards.dataset,
        Path(snakemake.input[0]).parent,
        Path(snakemake.output[0]).parent,
        **snakemake.params.options,
    )
