"""The report as one HTML page and one PDF."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.core.files import read_json
    from fedgenbench.report.claims import Evidence, judge, load_claims
    from fedgenbench.report.document import (
        Report,
        Section,
        build_report,
        read_picture,
        read_raster,
    )
    from fedgenbench.report.published import published
    from fedgenbench.report.published_tables import published_bullets, published_tables
    from fedgenbench.report.store import product
    from fedgenbench.systems.collected import read_results
    from fedgenbench.systems.fedlmg.published import fedlmg_published
    from fedgenbench.systems.fedlmg.section import FIGURES as FEDLMG_FIGURES
    from fedgenbench.systems.fedlmg.section import fedlmg_bullets, fedlmg_section_text
    from fedgenbench.systems.fedlmg.tables import fedlmg_tables
    from fedgenbench.systems.field.tables import field_tables
    from fedgenbench.systems.foundation.section import (
        evidence_table,
        foundation_text,
        samples_caption,
    )
    from fedgenbench.systems.pfedgpa.section import pfedgpa_section_text
    from fedgenbench.systems.pfedgpa.tables import pfedgpa_tables
    from fedgenbench.systems.warmfed.section import FIGURES, picture_caption, warmfed_section_text
    from fedgenbench.systems.warmfed.tables import warmfed_tables

    results = read_results(Path(snakemake.input.collected).parent)
    folder = Path(snakemake.input.figures).parent
    drawn = [name for name in read_json(snakemake.input.figures)["files"] if name.endswith(".svg")]
    of = {
        part: [name for name in drawn if name.startswith(f"{part}_")]
        for part in ("pfedgpa", "warmfed", "fedlmg", "foundation")
    }
    # A manifest's files stand in the order of the alphabet.
    of["warmfed"].sort(key=lambda name: FIGURES.index(name.split("_")[1]))
    of["fedlmg"].sort(key=lambda name: FEDLMG_FIGURES.index(name.split("_")[1]))
    curves = [f"curves_{experiment}.svg" for experiment in results.main.experiments]
    curves = [name for name in curves if name in drawn]
    # Curves in the order of the experiments, then what spans them all.
    others = curves + sorted(set(drawn).difference(curves, *of.values()))
    evidence = Evidence(results, results.main_newcomers)

    def said(paper: str, tables: list) -> dict:
        """What a paper's section takes from the paper's folder."""
        papers = Path("papers") / paper
        stated = published(papers / "published.yaml")
        return {
            "bullets": published_bullets(stated),
            "tables": [*tables, *published_tables(results, stated, paper)],
            "claims": judge(load_claims(papers / "claims.yaml"), evidence),
        }

    field = Section(
        title="The federated field",
        text="Every method shares the split, the initial weights and the order of batches of a "
        "repetition. Scores are those of the last round; no round is chosen by its test score.",
        tables=field_tables(results),
        figures=[read_picture(folder / name) for name in others],
    )
    pfedgpa = Section(
        title="pFedGPA: a diffusion model over client weights",
        text=pfedgpa_section_text(results),
        figures=[read_picture(folder / name) for name in of["pfedgpa"]],
        **said("pfedgpa", pfedgpa_tables(results)),
    )
    sheets = [
        read_raster(p.path, f"warmfed_{p.name}_{p.experiment}", picture_caption(results, p))
        for p in results.pictures
        if p.path.endswith(".png")
    ]
    warmfed = Section(
        title="WarmFed: a warm start from clients' adapters, and self-distillation",
        text=warmfed_section_text(results),
        figures=[*(read_picture(folder / name) for name in of["warmfed"]), *sheets],
        **said("warmfed", warmfed_tables(results)),
    )
    stated = fedlmg_published(snakemake.input.published)
    fedlmg = Section(
        title="FedLMG: images drawn under guidance of the clients' classifiers",
        text=fedlmg_section_text(results),
        bullets=fedlmg_bullets(results, stated),
        tables=fedlmg_tables(results, stated),
        figures=[read_picture(folder / name) for name in of["fedlmg"]],
        claims=judge(load_claims("papers/fedlmg/claims.yaml"), evidence),
    )
    sections = [field, pfedgpa, warmfed, fedlmg]
    if record := snakemake.input.foundation:
        model = Path(record[0]).parent
        samples = read_raster(model / "samples.png", "foundation_samples", samples_caption())
        sections.append(
            Section(
                title="The foundation model",
                text=foundation_text(model),
                tables=[evidence_table(model)],
                figures=[*(read_picture(folder / name) for name in of["foundation"]), samples],
            )
        )
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
