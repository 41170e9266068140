"""The report as one HTML page and one PDF."""

from dataclasses import replace
from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.core.files import read_json
    from fedgenbench.report.document import Report, build_report
    from fedgenbench.report.section import read_figures
    from fedgenbench.report.store import product
    from fedgenbench.systems.base import parts
    from fedgenbench.systems.claims import judged
    from fedgenbench.systems.collected import read_results

    results = read_results(Path(snakemake.input.collected).parent)
    figures = read_figures(Path(snakemake.input.figures).parent)
    claims = judged(results)
    sections = [
        replace(section, claims=claims.get(name, ()))
        for name, system in parts("section")
        if (section := system.section(results, figures.get(name, ())))
    ]
    report = Report(
        title=f"FedGenBench at {snakemake.wildcards.scale} scale",
        results=results,
        sections=sections,
        cards=[read_json(path) for path in snakemake.input.cards],
        cuts=snakemake.params.cuts,
    )
    manifest = Path(snakemake.output[0])
    with product(manifest, results) as files:
        files += build_report(report, manifest.parent)
