"""Every figure as SVG, PNG and PDF."""

from pathlib import Path

from fedgenbench.runtime.job import job

with job(snakemake):
    from fedgenbench.reporting.field_figures import field_figures
    from fedgenbench.reporting.figures import emit
    from fedgenbench.reporting.pfedgpa_figures import pfedgpa_figures
    from fedgenbench.reporting.store import product, read_results

    results = read_results(Path(snakemake.input[0]).parent)
    manifest = Path(snakemake.output[0])
    with product(manifest, results) as files:
        for figure in [*field_figures(results), *pfedgpa_figures(results)]:
            files += emit(figure, manifest.parent)
