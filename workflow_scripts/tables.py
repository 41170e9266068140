"""Every table in four formats, and what `dvc metrics` and `dvc plots` show."""

from pathlib import Path

from fedgenbench.runtime.job import job

with job(snakemake):
    from fedgenbench.evaluation.collect import summary
    from fedgenbench.evaluation.published import published
    from fedgenbench.reporting.fedlmg_published import fedlmg_published
    from fedgenbench.reporting.fedlmg_tables import fedlmg_tables
    from fedgenbench.reporting.field_tables import field_tables
    from fedgenbench.reporting.pfedgpa_tables import pfedgpa_tables
    from fedgenbench.reporting.published import published_tables
    from fedgenbench.reporting.store import product, read_results
    from fedgenbench.reporting.tables import apart, emit
    from fedgenbench.reporting.warmfed_tables import warmfed_tables
    from fedgenbench.runtime.files import write_json, write_text

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
