"""Every figure as SVG, PNG and PDF, and which of them belong to which section."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.report.figures import emit, write_order
    from fedgenbench.report.store import product
    from fedgenbench.systems.base import parts
    from fedgenbench.systems.collected import read_results

    results = read_results(Path(snakemake.input.collected).parent)
    drawn = {name: system.figures(results) for name, system in parts("figures")}
    manifest = Path(snakemake.output[0])
    with product(manifest, results) as files:
        for figure in (each for group in drawn.values() for each in group):
            files += emit(figure, manifest.parent)
        files.append(write_order(drawn, manifest.parent))
