"""Runs to tidy Parquet tables and their context."""

from pathlib import Path

from fedgenbench.core.job import job

with job(snakemake):
    from fedgenbench.core.files import atomic_path, read_json, write_json
    from fedgenbench.report.collect import (
        GUIDED,
        client_domains,
        collect,
        fedlmg_frame,
        fedlmg_setups,
        study_frames,
        synthesis_frame,
        without_measured,
    )
    from fedgenbench.report.store import shown_pictures

    wanted = snakemake.params
    cards = {name: read_json(path) for name, path in wanted.cards.items()}
    domains = {
        name: client_domains(entry["scheme"], cards[entry["dataset"]], entry.get("without"))
        for name, entry in wanted.experiments.items()
    }
    keys = {(e, m, s): (digest, folder) for e, m, s, digest, folder in wanted.runs}
    frames = collect(
        {key: Path(folder) for key, (_, folder) in keys.items()},
        {key: digest for key, (digest, _) in keys.items()},
        domains,
        snakemake.wildcards.scale,
    )
    frames |= study_frames(wanted.studies)
    frames["synthesis"] = synthesis_frame(wanted.synthesis)
    frames["fedlmg"] = fedlmg_frame(wanted.fedlmg)
    # Where only personalised accuracy is asked for, a global model's is not reported.
    hidden = [name for name, entry in wanted.experiments.items() if not entry["report_global"]]
    for name in ("scores", "rounds"):
        frame = frames[name]
        frames[name] = frame[(frame["metric"] != "global") | ~frame["experiment"].isin(hidden)]
    folder = Path(snakemake.output.context).parent
    for name, frame in without_measured(frames).items():
        with atomic_path(folder / f"{name}.parquet") as temporary:
            frame.to_parquet(temporary, index=False)
    experiments = {
        name: entry["shown"] | {"classes": len(cards[entry["dataset"]]["classes"])}
        for name, entry in wanted.experiments.items()
    }
    schemes = {name: entry["scheme"] for name, entry in wanted.experiments.items()}
    for name, setup in fedlmg_setups(wanted.fedlmg, schemes, domains).items():
        classes = cards[wanted.experiments[name]["dataset"]]["classes"]
        experiments[name]["fedlmg"] = setup | {"classes": classes}
    write_json(
        folder / "context.json",
        {
            "experiments": experiments,
            "methods": wanted.methods,
            "confidence": wanted.confidence,
            "absent": wanted.absent,
            "newcomer_main": wanted.newcomer_main,
            "pictures": shown_pictures(
                [*wanted.pictures, *(e for e in wanted.guided if e[2] in GUIDED)], wanted.synthesis
            ),
            "expected": [[*key, digest] for key, (digest, _) in keys.items()],
            "order": {
                "experiments": list(experiments),
                "methods": list(wanted.methods),
                "absent": list(wanted.absent),
            },
        },
    )
