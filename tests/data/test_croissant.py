import json

import pytest

from fedgenbench.data.croissant import croissant, described
from fedgenbench.data.sources import source_of


def test_sets_with_pinned_files_are_described_and_placed_ones_are_not():
    assert {"fashion_mnist", "cifar10", "emoji_domains"} <= set(described())
    assert not {"domainnet", "emnist"} & set(described())


def test_a_record_has_files_checksums_licences_and_counts():
    record = croissant("fashion_mnist")
    files = {each["@id"]: each["sha256"] for each in record["distribution"]}
    assert files == source_of("fashion_mnist")["files"]
    (parts,) = (each for each in record["recordSet"] if each["name"] == "parts")
    assert [row["parts/images"] for row in parts["data"]] == [60_000, 10_000]
    assert record["license"] == ["MIT"]


@pytest.mark.parametrize("name", described())
def test_a_record_is_valid(name, tmp_path):
    mlcroissant = pytest.importorskip(
        "mlcroissant", reason="requirements/site.txt is not installed"
    )
    path = tmp_path / "croissant.json"
    path.write_text(json.dumps(croissant(name)))
    dataset = mlcroissant.Dataset(
        jsonld=path
    )  # raises ValidationError for what breaks the standard
    assert not dataset.metadata.ctx.issues.errors
    works = list(dataset.records(record_set="works"))
    assert len(works) == len(source_of(name)["works"])
