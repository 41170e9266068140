"""Runs to tidy Parquet tables and their context."""

from pathlib import Path

from fedgenbench.runtime.job import job

with job(snakemake):
    from fedgenbench.evaluation.collect import client_domains, collect
    from fedgenbench.runtime.files import atomic_path, read_json, write_json

    wanted = snakemake.params
    cards = {name: read_json(path) for name, path in wanted.cards.items()}
    domains = {
        name: client_domains(entry["scheme"], cards[entry["dataset"]])
        for name, entry in wanted.experiments.items()
    }
    keys = {(e, m, s): (digest, folder) for e, m, s, digest, folder in wanted.runs}
    scores, rounds, runs = collect(
        {key: Path(folder) for key, (_, folder) in keys.items()},
        {key: digest for key, (digest, _) in keys.items()},
        domains,
        snakemake.wildcards.scale,
    )
    # Where only personalised accuracy is asked for, a global model's is not reported.
    hidden = [name for name, entry in wanted.experiments.items() if not entry["report_global"]]
    scores, rounds = (
        frame[(frame["metric"] != "global") | ~frame["experiment"].isin(hidden)]
        for frame in (scores, rounds)
    )
    folder = Path(snakemake.output.context).parent
    for name, frame in (("scores", scores), ("rounds", rounds), ("runs", runs)):
        with atomic_path(folder / f"{name}.parquet") as temporary:
            frame.to_parquet(temporary, index=False)
    experiments = {
        name: entry["shown"] | {"classes": len(cards[entry["dataset"]]["classes"])}
        for name, entry in wanted.experiments.items()
    }
    write_json(
        folder / "context.json",
        {
            "experiments": experiments,
            "methods": wanted.methods,
            "confidence": wanted.confidence,
            "expected": [[*key, digest] for key, (digest, _) in keys.items()],
            "order": {"experiments": list(experiments), "methods": list(wanted.methods)},
        },
    )
