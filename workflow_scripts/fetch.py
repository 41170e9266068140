"""Fetches one data set's raw files, or accepts those that are already there."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.data.fetch import fetch

    fetch(snakemake.wildcards.dataset, Path(snakemake.output[0]).parent)
