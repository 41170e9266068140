"""Every table in four formats, and what `dvc metrics` and `dvc plots` show."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.report.store import product
    from fedgenbench.systems.collected import read_results
    from fedgenbench.systems.table_files import write_tables

    results = read_results(Path(snakemake.input.collected).parent)
    manifest = Path(snakemake.output[0])
    with product(manifest, results) as files:
        files += write_tables(results, manifest.parent)
