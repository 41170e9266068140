"""A job of a system."""

from fedgenbench.systems.job import execute_rule

execute_rule(snakemake)
