"""Trains the server's model as DENSE does: on a generator's images, from the clients' ensemble."""

import shutil
from pathlib import Path

from fedgenbench.core.gpu import lease
from fedgenbench.core.job import job
from fedgenbench.core.progress import Progress
from fedgenbench.core.provenance import Stopwatch

with job(snakemake), lease(snakemake.config["device"]) as device:
    watch = Stopwatch(snakemake.params.turns)
    import torch

    from fedgenbench.core.reports import save_report
    from fedgenbench.data.dataset import load
    from fedgenbench.data.partition import Partition
    from fedgenbench.images.shards import Shards
    from fedgenbench.systems.fedlmg.baseline_settings import Dense
    from fedgenbench.systems.fedlmg.clients import tensors
    from fedgenbench.systems.fedlmg.dense import dense
    from fedgenbench.systems.fedlmg.settings import Server
    from fedgenbench.systems.fedlmg.training import accuracy
    from fedgenbench.systems.fedlmg.uploads import load as load_uploads
    from fedgenbench.systems.fedlmg.uploads import untrained

    torch.set_num_threads(1)
    settings, names = snakemake.params.settings, snakemake.wildcards
    dataset = load(Path(snakemake.input.data).parent)
    partition = Partition.load(snakemake.input.partition)
    partition.require(dataset)
    own = Dense.model_validate(settings["own"])
    server = Server.model_validate(settings["server"])
    x, y = tensors(dataset.test_images, dataset.test_labels, settings, device)
    shape, seed = tuple(x.shape[1:]), settings["seed"]
    student = untrained(server.model, shape, dataset.n_classes, seed, settings["imagenet"])
    found = load_uploads(snakemake.input.models, dataset.n_classes).items()
    turns = Path(snakemake.params.turns)
    label = f"DENSE of {names.experiment}, seed {names.seed}"
    result = dense(
        own,
        server,
        [upload for name, upload in found if name.startswith("client")],
        student,
        seed=seed,
        shape=shape,
        device=device,
        shards=Shards(turns, names.digest),
        tell=Progress(label, own.epochs),
    )
    tests = [torch.from_numpy(client.test).to(device) for client in partition.clients]
    right = accuracy(student, x, y, tests)
    save_report(
        snakemake.output.report,
        {
            "digest": names.digest,
            "settings": settings,
            "rows": {
                "dense": {
                    "accuracy": right,
                    "losses": result.losses["distillation"],
                    "images": result.generated,
                }
            },
            "generator": result.losses,
        },
        watch.record(device),
    )
    shutil.rmtree(turns, ignore_errors=True)
    watch.forget()
    print(f"{label}: {100 * sum(right) / len(right):.1f} %", flush=True)
