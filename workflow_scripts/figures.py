"""Every figure as SVG, PNG and PDF."""

from pathlib import Path

from fedgenbench.runtime.job import job

with job(snakemake):
    from fedgenbench.reporting.field_figures import field_figures
    from fedgenbench.reporting.figures import emit
    from fedgenbench.reporting.store import read_results, write_manifest

    results = read_results(Path(snakemake.input[0]).parent)
    manifest = Path(snakemake.output[0])
    files = [path for figure in field_figures(results) for path in emit(figure, manifest.parent)]
    write_manifest(manifest, files, results)
