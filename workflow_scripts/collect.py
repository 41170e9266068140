"""Jobs' metrics to tidy Parquet tables and their context."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.core.files import read_json
    from fedgenbench.systems.collecting import Collection, collected, write

    wanted = snakemake.params
    asked = Collection(
        scale=snakemake.wildcards.scale,
        jobs=wanted.jobs,
        pictures=wanted.pictures,
        experiments=wanted.experiments,
        methods=wanted.methods,
        absent=wanted.absent,
        newcomer_main=wanted.newcomer_main,
        confidence=wanted.confidence,
        cards={name: read_json(path) for name, path in wanted.cards.items()},
    )
    write(Path(snakemake.output.context).parent, *collected(asked))
