"""A job of a system."""

from fedgenbench.systems.job import execute

execute(snakemake)
