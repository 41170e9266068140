"""What the foundation model may see of the public drawings."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.data.dataset import load
    from fedgenbench.systems.foundation.pool import make_pool

    drawings, private = (Path(path).parent for path in snakemake.input)
    folder = Path(snakemake.output.pool).parent
    make_pool(load(drawings), load(private), snakemake.params.settings["subjects"], folder)
