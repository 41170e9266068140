"""Every figure as SVG, PNG and PDF, and which of them belong to which section."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.report.store import product
    from fedgenbench.systems.collected import read_results
    from fedgenbench.systems.figure_files import write_figures

    results = read_results(Path(snakemake.input.collected).parent)
    manifest = Path(snakemake.output[0])
    with product(manifest, results) as files:
        files += write_figures(results, manifest.parent)
