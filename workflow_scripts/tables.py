"""Every table in four formats."""

from pathlib import Path

from fedgenbench.runtime.job import job

with job(snakemake):
    from fedgenbench.reporting.field_tables import field_tables
    from fedgenbench.reporting.store import read_results, write_manifest
    from fedgenbench.reporting.tables import emit

    results = read_results(Path(snakemake.input[0]).parent)
    manifest = Path(snakemake.output[0])
    files = [path for table in field_tables(results) for path in emit(table, manifest.parent)]
    write_manifest(manifest, files, results)
