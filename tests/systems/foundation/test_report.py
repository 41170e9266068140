"""The foundation model's evidence in the report, and pictures that are no drawings."""

import base64
import re
from pathlib import Path

import matplotlib
import pytest
from PIL import Image

from fedgenbench.core.files import read_json
from fedgenbench.report import figures
from fedgenbench.report.section import read_raster
from fedgenbench.systems.foundation.figures import history_figure
from fedgenbench.systems.foundation.section import samples_caption
from fedgenbench.systems.foundation.section import text as foundation_text
from fedgenbench.systems.foundation.tables import evidence_table

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "models/foundation"


def test_the_table_says_what_is_recorded_and_documented():
    found, table = read_json(MODEL / "evidence.json"), evidence_table(MODEL)
    rows = {row.id: [cell.text for cell in row.cells] for row in table.rows}
    for row, tested in (("accuracy-validation", "validation"), ("accuracy-clients", "clients")):
        shown = [found["accuracy_trained_on"][images][tested] for images in ("generated", "real")]
        assert rows[row] == [f"{100 * value:.1f} %" for value in shown]
    assert rows["copied"][0] == f"{100 * found['nearest_training_image']['copied_share']:.1f} %"
    text = (ROOT / "docs/foundation.md").read_text()
    documented = set(re.findall(r"\d+\.\d %", re.sub("<!--.*?-->", "", text)))
    for name in ("accuracy-validation", "accuracy-clients", "recognised"):
        assert {cell for cell in rows[name] if "%" in cell} <= documented
    assert any("Recorded with the weights" in note for note in table.notes)


def test_the_text_counts_what_the_model_saw():
    text, sets = foundation_text(MODEL), read_json(MODEL / "pool.json")["drawings"]["train"]
    drawings = sum(map(len, sets.values()))
    assert f"trained on {drawings:,} drawings of {len(sets)} public sets" in text
    steps = read_json(MODEL / "provenance.json")["history"][-1]["step"]
    assert f"for {steps:,} steps" in text


def test_losses_are_drawn_as_recorded(tmp_path):
    figure = history_figure(MODEL)
    history = read_json(MODEL / "provenance.json")["history"]
    unet = figure.drawing.axes[1]
    assert [list(line.get_ydata()) for line in unet.lines[:2]] == [
        [entry[name] for entry in history] for name in ("train", "validation")
    ]
    texts = {text.get_text() for text in figure.drawing.findobj(matplotlib.text.Text)}
    assert {"Autoencoder", "U-Net", "train", "validation"} <= texts
    for folder in ("a", "b"):
        figures.emit(history_figure(MODEL), tmp_path / folder)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_the_samples_rows_are_named():
    assert "a class per row: face, person, hand, animal" in samples_caption()


@pytest.mark.parametrize(("size", "width"), [((40, 20), 0.4), ((2000, 500), 6.5)])
def test_a_raster_is_kept_to_the_byte_and_fits_the_page(tmp_path, size, width):
    path = tmp_path / "sheet.png"
    Image.new("RGB", size, "teal").save(path)
    picture = read_raster(path, "sheet", "A sheet.")
    assert (picture.id, picture.caption, picture.width) == ("sheet", "A sheet.", width)
    encoded = re.search(r"data:image/png;base64,([^\"]+)", picture.svg)[1]
    assert base64.b64decode(encoded) == path.read_bytes()
    assert f'viewBox="0 0 {size[0]} {size[1]}"' in picture.svg
