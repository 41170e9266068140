"""docs/architecture.md shows the imports that there are."""

from architecture import BLOCK, PAGE, picture


def test_the_picture_of_layers_is_drawn_from_the_imports():
    (shown,) = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert shown == picture(), "run `make docs`"
    assert "report --> core" in shown
