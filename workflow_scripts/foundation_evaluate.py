"""Draws from the foundation model and says how good it is."""

from pathlib import Path

from fedgenbench.core.gpu import lease
from fedgenbench.core.job import job

with job(snakemake), lease(snakemake.config["device"]) as device:
    import torch

    from fedgenbench.core.files import write_json
    from fedgenbench.data.dataset import load as load_data
    from fedgenbench.images.inception import inception
    from fedgenbench.images.pipeline import load
    from fedgenbench.systems.foundation.evidence import evaluate
    from fedgenbench.systems.foundation.pool import load_pool
    from fedgenbench.systems.foundation.settings import Foundation

    torch.set_num_threads(1)
    settings = Foundation.model_validate(snakemake.params.settings)
    data = load_data(Path(snakemake.input.data).parent)
    target = Path(snakemake.output.evidence)
    pipeline = load(snakemake.input.model, torch.float32, device)
    pool = load_pool(Path(snakemake.input.pool).parent)
    layers = inception(Path(snakemake.input.inception).parents[1]).to(device)
    found = evaluate(pipeline, settings, pool, data, layers, target.parent)
    write_json(target, found | {"digest": snakemake.wildcards.digest})
    score = found["accuracy_trained_on"]["generated"]["validation"]
    print(f"foundation model: a classifier of its images scores {100 * score:.1f} %", flush=True)
