"""Every table in four formats, and what `dvc metrics` and `dvc plots` show."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.core.files import write_json, write_text
    from fedgenbench.report.collect import summary
    from fedgenbench.report.store import product
    from fedgenbench.report.tables import apart, emit
    from fedgenbench.systems.base import parts
    from fedgenbench.systems.collected import read_results

    results = read_results(Path(snakemake.input.collected).parent)
    manifest = Path(snakemake.output[0])
    with product(manifest, results) as files:
        made = (table for _, system in parts("tables") for table in system.tables(results))
        for table in (each for group in apart(made) for each in group):
            files += emit(table, manifest.parent)
        # DVC wants metrics and plots outside the folders that it tracks as a whole.
        metrics, curves = summary(results.scores, results.rounds, results.fedlmg)
        files += [manifest.parents[1] / name for name in ("metrics.json", "curves.csv")]
        write_json(files[-2], metrics)
        write_text(files[-1], curves.to_csv(index=False))
