"""A folder of pictures, described as the docs say, through the whole workflow."""

import re

import numpy as np
import pytest
import scratch
import yaml
from PIL import Image

DOCS = (scratch.REPOSITORY / "docs/data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", DOCS.split("## Your own data")[1], re.DOTALL)


@pytest.mark.slow
def test_own_pictures_reach_the_report(tmp_path):
    folder = scratch.make(tmp_path / "copy")
    source, dataset, experiment = map(yaml.safe_load, BLOCKS)
    with open(folder / "src/fedgenbench/data/sources.yaml", "a", encoding="utf-8") as file:
        file.write("\n" + BLOCKS[0])
    spec = source["my_photos"]
    generator = np.random.default_rng(0)
    for domain in spec["facts"]["domains"]:
        for name in spec["classes"]:
            place = folder / "data/raw/my_photos" / domain / name
            place.mkdir(parents=True)
            for number in range(20):
                pixels = generator.integers(0, 256, (40, 30, 3), np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    params = yaml.safe_load((scratch.REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    experiments = params["experiments"]
    chain = [experiments[name] for name in ("emoji_domains", "emoji_domains-60")]
    own = chain[0] | chain[1] | experiment["my_photos"] | {"rounds": 1}
    del own["like"]
    params = scratch.read_params(folder)
    params |= {"datasets": dataset, "experiments": {"my_photos": own}, "seeds": [0]}
    scratch.write_params(folder, params)
    scratch.snakemake(folder)
    for method in own["methods"]:
        assert list(folder.glob(f"results/runs/my_photos/{method}/seed0-*/run.json"))
    tables = folder.glob(f"results/{params['scale']}/tables/*.md")
    assert any("My photos" in table.read_text(encoding="utf-8") for table in tables)
