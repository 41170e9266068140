"""Arrays to the clients' index lists."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from pydantic import TypeAdapter

    from fedgenbench.data.dataset import load
    from fedgenbench.data.partition import Scheme, make_partition

    dataset = load(Path(snakemake.input[0]).parent)
    scheme = TypeAdapter(Scheme).validate_python(snakemake.params.scheme)
    make_partition(dataset, scheme, snakemake.params.seed).save(Path(snakemake.output[0]))
