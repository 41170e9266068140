"""The report as one HTML page and one PDF."""

from pathlib import Path

from fedgenbench.runtime.job import job

with job(snakemake):
    from fedgenbench.reporting.field_tables import field_tables
    from fedgenbench.reporting.report import Report, Section, build_report, read_picture
    from fedgenbench.reporting.store import product, read_results
    from fedgenbench.runtime.files import read_json

    results = read_results(Path(snakemake.input.collected).parent)
    figures = Path(snakemake.input.figures).parent
    drawn = read_json(snakemake.input.figures)["files"]
    curves = [f"curves_{experiment}.svg" for experiment in results.experiments]
    # Curves in the order of the experiments, then what spans them all.
    shown = curves + sorted(n for n in drawn if n.endswith(".svg") and n not in curves)
    field = Section(
        title="The federated field",
        text="Every method shares the split, the initial weights and the order of batches of a "
        "repetition. Scores are those of the last round; no round is chosen by its test score.",
        tables=field_tables(results),
        figures=[read_picture(figures / name) for name in shown],
    )
    report = Report(
        title=f"FedGenBench at {snakemake.wildcards.scale} scale",
        results=results,
        sections=[field],
        cards=[read_json(path) for path in snakemake.input.cards],
        cuts=snakemake.params.cuts,
    )
    manifest = Path(snakemake.output[0])
    with product(manifest, results) as files:
        files += build_report(report, manifest.parent)
