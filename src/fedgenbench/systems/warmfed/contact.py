"""WarmFed's images by client and class: training images, the adapter's, and those of prompts alone."""

from fedgenbench.report.contact import MOST, REAL, ClientImages, ContactSheet, Tile, cells, spread
from fedgenbench.report.results import Picture, Results
from fedgenbench.systems.warmfed.numbers import client_names

ADAPTER = "adapter"


def contact_sheets(results: Results) -> list[ContactSheet]:
    """One for each experiment whose images were examined."""
    return [_sheet(results, each) for each in results.pictures if each.name == "grid"]


def _sheet(results: Results, grid: Picture) -> ContactSheet:
    said = grid.says
    tiles = cells(grid.path, len(said["rows"]), len(said["columns"]))
    by_row = {(row["kind"], row["client"]): place for place, row in enumerate(said["rows"])}
    # Templates of prompts are many: the first stands for all.
    prompts = next((p for p, row in enumerate(said["rows"]) if row["kind"] == "prompt"), None)
    pairs = _pairs(results, grid.experiment)
    names = client_names(results, grid.experiment)
    clients = []
    for client in spread(sorted({row["client"] for row in said["rows"]} - {-1})):
        shown = {REAL: by_row[REAL, client], ADAPTER: by_row[ADAPTER, client]}
        if prompts is not None:
            shown["prompts alone"] = prompts
        rows = [
            (
                label,
                [
                    Tile(tiles[row, place], f"{names[client]}, {label}: {kind}")
                    if (tiles[row, place] != 255).any()
                    else None
                    for kind, row in shown.items()
                ],
            )
            for place, label in enumerate(said["columns"][:MOST])
        ]
        clients.append(ClientImages(names[client], list(shown), rows, pairs.get(client, [])))
    return ContactSheet(
        f"warmfed_{grid.experiment}",
        f"{results.experiments[grid.experiment]['title']}, seed {grid.seed}: for each client and class a "
        "training image, an image drawn with the client's adapter and one from a prompt alone; the first "
        "of each, unselected. Below, the adapter's images nearest to a training image of any client.",
        clients,
    )


def _pairs(results: Results, experiment: str) -> dict[int, list[Tile]]:
    """Client -> its adapter's images that are nearest to private ones, the nearest first."""
    picture = results.picture(experiment, "duplicates")
    if picture is None:
        return {}
    names = client_names(results, experiment)
    columns = len(picture.says[0]["distances"])
    pairs: dict[int, list[Tile]] = {}
    for said, row in zip(
        picture.says, cells(picture.path, len(picture.says), columns), strict=True
    ):
        for owner, distance, both in zip(said["owners"], said["distances"], row, strict=True):
            edge = both.shape[1] // 2
            twin = Tile(both[:, edge:], f"training image of {names[owner]}")
            tile = Tile(both[:, :edge], f"{names[owner]}, {distance:.2f}", twin)
            pairs.setdefault(said["client"], []).append(tile)
    return pairs
