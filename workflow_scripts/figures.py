"""Every figure as SVG, PNG and PDF."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.report.figures import emit
    from fedgenbench.report.store import product
    from fedgenbench.systems.collected import read_results
    from fedgenbench.systems.fedlmg.figures import fedlmg_figures
    from fedgenbench.systems.field.figures import field_figures
    from fedgenbench.systems.foundation.section import history_figure
    from fedgenbench.systems.pfedgpa.figures import pfedgpa_figures
    from fedgenbench.systems.warmfed.figures import warmfed_figures

    results = read_results(Path(snakemake.input.collected).parent)
    drawn = [
        *field_figures(results),
        *pfedgpa_figures(results),
        *warmfed_figures(results),
        *fedlmg_figures(results),
    ]
    # Only a model that was trained here has a record.
    if record := snakemake.input.foundation:
        drawn.append(history_figure(Path(record[0]).parent))
    manifest = Path(snakemake.output[0])
    with product(manifest, results) as files:
        for figure in drawn:
            files += emit(figure, manifest.parent)
