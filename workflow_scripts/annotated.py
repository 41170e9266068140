"""Every table and figure as a page of its own, for Snakemake's report."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.systems.annotated_files import write_annotated
    from fedgenbench.systems.collected import read_results

    results = read_results(Path(snakemake.input.collected).parent)
    write_annotated(results, Path(snakemake.input.figures).parent, Path(snakemake.output[0]))
