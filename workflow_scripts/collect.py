"""Jobs' metrics to tidy Parquet tables and their context."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.core.files import atomic_path, read_json, write_json
    from fedgenbench.report.collect import client_domains, collect, read_jobs, without_measured
    from fedgenbench.report.store import shown_pictures
    from fedgenbench.systems.base import parts

    wanted = snakemake.params
    cards = {name: read_json(path) for name, path in wanted.cards.items()}
    domains = {
        name: client_domains(entry["scheme"], cards[entry["dataset"]], entry.get("without"))
        for name, entry in wanted.experiments.items()
    }
    jobs = list(read_jobs(wanted.jobs))
    modules = dict(parts("measurements"))
    measures = {kind: said for each in modules.values() for kind, said in each.MEASURES.items()}
    folder = Path(snakemake.output.context).parent
    frames = collect(jobs, measures, domains, snakemake.wildcards.scale)
    for name, frame in without_measured(frames).items():
        with atomic_path(folder / f"{name}.parquet") as temporary:
            frame.to_parquet(temporary, index=False)
    experiments = {
        name: entry["shown"] | {"classes": len(cards[entry["dataset"]]["classes"])}
        for name, entry in wanted.experiments.items()
    }
    schemes = {name: entry["scheme"] for name, entry in wanted.experiments.items()}
    for system, module in modules.items():
        setups = module.setups(jobs, schemes, domains) if hasattr(module, "setups") else {}
        for name, setup in setups.items():
            classes = cards[wanted.experiments[name]["dataset"]]["classes"]
            experiments[name][system] = setup | {"classes": classes}
    says = {
        (address["experiment"], address["seed"], name): said
        for address, metrics in jobs
        for name, said in metrics.get("pictures", {}).items()
    }
    write_json(
        folder / "context.json",
        {
            "experiments": experiments,
            "methods": wanted.methods,
            "confidence": wanted.confidence,
            "absent": wanted.absent,
            "newcomer_main": wanted.newcomer_main,
            # Where only personalised accuracy is asked for, a global model's is not reported.
            "hidden": [n for n, entry in wanted.experiments.items() if not entry["report_global"]],
            "pictures": shown_pictures(
                (*address, path, says.get(tuple(address))) for *address, path in wanted.pictures
            ),
            "expected": [
                [a["experiment"], a["name"], a["seed"], metrics["digest"]]
                for a, metrics in jobs
                if a["job"] == "federate"
            ],
            "order": {
                "experiments": list(experiments),
                "methods": list(wanted.methods),
                "absent": list(wanted.absent),
            },
        },
    )
