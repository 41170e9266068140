"""Every table in four formats, and what `dvc metrics` and `dvc plots` show."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.core.files import write_json, write_text
    from fedgenbench.report.collect import summary
    from fedgenbench.report.published import published
    from fedgenbench.report.published_tables import published_tables
    from fedgenbench.report.store import product
    from fedgenbench.report.tables import apart, emit
    from fedgenbench.systems.collected import read_results
    from fedgenbench.systems.fedlmg.published import fedlmg_published
    from fedgenbench.systems.fedlmg.tables import fedlmg_tables
    from fedgenbench.systems.field.tables import field_tables
    from fedgenbench.systems.pfedgpa.tables import pfedgpa_tables
    from fedgenbench.systems.warmfed.tables import warmfed_tables

    results = read_results(Path(snakemake.input.collected).parent)
    stated = {p: published(f"papers/{p}/published.yaml") for p in ("pfedgpa", "warmfed")}
    manifest = Path(snakemake.output[0])
    with product(manifest, results) as files:
        shown, measured = apart(
            [
                *field_tables(results),
                *pfedgpa_tables(results),
                *warmfed_tables(results),
                *fedlmg_tables(results, fedlmg_published(snakemake.input.published)),
                *(
                    t
                    for paper, cells in stated.items()
                    for t in published_tables(results, cells, paper)
                ),
            ]
        )
        for table in [*shown, *measured]:
            files += emit(table, manifest.parent)
        # DVC wants metrics and plots outside the folders that it tracks as a whole.
        metrics, curves = summary(results.scores, results.rounds, results.fedlmg)
        files += [manifest.parents[1] / name for name in ("metrics.json", "curves.csv")]
        write_json(files[-2], metrics)
        write_text(files[-1], curves.to_csv(index=False))
