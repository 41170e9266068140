"""One table, from the jobs that it shows alone."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.core.errors import UserError
    from fedgenbench.report.table_formats import emit
    from fedgenbench.report.tables import apart
    from fedgenbench.systems.base import parts
    from fedgenbench.systems.collected import results_of
    from fedgenbench.systems.collecting import Collection, collected

    results = results_of(*collected(Collection.read(snakemake.params.collection)))
    made = {each.id: each for _, system in parts("tables") for each in system.tables(results)}
    name = snakemake.wildcards.table
    if name not in made:
        raise UserError(f"no table is called {name}; of these jobs there are {', '.join(made)}")
    folder = Path(snakemake.output[0])
    folder.mkdir(parents=True, exist_ok=True)
    for part in apart([made[name]]):
        for table in part:
            emit(table, folder)
