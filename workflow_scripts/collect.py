"""Jobs' metrics to tidy Parquet tables and their context."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.systems.collecting import Collection, collected, write

    asked = Collection.read(snakemake.params.collection)
    write(Path(snakemake.output.context).parent, *collected(asked))
