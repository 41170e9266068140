"""The report as one HTML page and one PDF."""

from pathlib import Path

from fedgenbench.runtime.job import job

with job(snakemake):
    from fedgenbench.evaluation.claims import Evidence, judge, load_claims, published
    from fedgenbench.reporting.field_tables import field_tables
    from fedgenbench.reporting.pfedgpa import pfedgpa_section_text
    from fedgenbench.reporting.pfedgpa_tables import pfedgpa_tables
    from fedgenbench.reporting.report import Report, Section, build_report, read_picture
    from fedgenbench.reporting.store import product, read_results
    from fedgenbench.runtime.files import read_json

    results = read_results(Path(snakemake.input.collected).parent)
    folder = Path(snakemake.input.figures).parent
    drawn = [name for name in read_json(snakemake.input.figures)["files"] if name.endswith(".svg")]
    of_pfedgpa = [name for name in drawn if name.startswith("pfedgpa_")]
    curves = [f"curves_{experiment}.svg" for experiment in results.main.experiments]
    # Curves in the order of the experiments, then what spans them all.
    others = curves + sorted(set(drawn) - {*curves, *of_pfedgpa})
    field = Section(
        title="The federated field",
        text="Every method shares the split, the initial weights and the order of batches of a "
        "repetition. Scores are those of the last round; no round is chosen by its test score.",
        tables=field_tables(results),
        figures=[read_picture(folder / name) for name in others],
    )
    papers = Path("papers/pfedgpa")
    figures = published(papers / "published.yaml").figures
    evidence = Evidence(results, results.main_newcomers)
    pfedgpa = Section(
        title="pFedGPA: a diffusion model over client weights",
        text=pfedgpa_section_text(results),
        bullets=[
            "Published: no cell of the paper's tables is at hand, so none stands beside ours.",
            *(f"{f.text} ({f.status}; {f.source})" for f in figures),
        ],
        tables=pfedgpa_tables(results),
        figures=[read_picture(folder / name) for name in of_pfedgpa],
        claims=judge(load_claims(papers / "claims.yaml"), evidence),
    )
    report = Report(
        title=f"FedGenBench at {snakemake.wildcards.scale} scale",
        results=results,
        sections=[field, pfedgpa],
        cards=[read_json(path) for path in snakemake.input.cards],
        cuts=snakemake.params.cuts,
    )
    manifest = Path(snakemake.output[0])
    with product(manifest, results) as files:
        files += build_report(report, manifest.parent)
