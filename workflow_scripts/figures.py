"""Every figure as SVG, PNG and PDF."""

from pathlib import Path

from fedgenbench.runtime.job import job

with job(snakemake):
    from fedgenbench.reporting.fedlmg_figures import fedlmg_figures
    from fedgenbench.reporting.field_figures import field_figures
    from fedgenbench.reporting.figures import emit
    from fedgenbench.reporting.foundation import history_figure
    from fedgenbench.reporting.pfedgpa_figures import pfedgpa_figures
    from fedgenbench.reporting.store import product, read_results
    from fedgenbench.reporting.warmfed_figures import warmfed_figures

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
