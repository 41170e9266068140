"""The report as one HTML page and one PDF."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.core.files import read_json
    from fedgenbench.report.store import product
    from fedgenbench.systems.collected import read_results
    from fedgenbench.systems.report_files import Beside, write_report

    results = read_results(Path(snakemake.input.collected).parent)
    beside = Beside(
        scale=snakemake.wildcards.scale,
        figures=Path(snakemake.input.figures).parent,
        cards=[read_json(path) for path in snakemake.input.cards],
        cuts=snakemake.params.cuts,
    )
    manifest = Path(snakemake.output[0])
    with product(manifest, results) as files:
        files += write_report(results, beside, manifest.parent)
