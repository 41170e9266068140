"""The part of a grid that is asked for: by experiment, method, seed and paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from fedgenbench.core.errors import UserError
from fedgenbench.core.reading import typed
from fedgenbench.core.settings import Distinct, Strict
from fedgenbench.core.wording import unknown
from fedgenbench.systems.base import maker_of_images, systems

if TYPE_CHECKING:
    from fedgenbench.plan.settings import Experiment, Settings


Some = Annotated[list[str], Field(min_length=1), Distinct]


class Only(Strict):
    """What runs of the grid; a key that is not given leaves nothing out."""

    experiments: Some | None = Field(default=None, description="Keys of `experiments`.")
    methods: Some | None = Field(
        default=None,
        description="Keys of `methods` and `variants`; a system's name brings its block.",
    )
    seeds: Annotated[list[int], Field(min_length=1), Distinct] | None = Field(
        default=None, description="Some of `seeds`."
    )
    papers: Some | None = Field(
        default=None,
        description="Systems: experiments that play the paper's method or have its block.",
    )


def selecting(overrides: dict[str, Any]) -> dict[str, Any]:
    """The overrides of a command line with all that selects in ``only``.

    ``experiments``, ``methods`` and ``papers`` that are words or lists select, and so does ``seeds``
    that is no list: ``seeds=0,1`` picks seeds of the scale, ``seeds=[7]`` sets them.

    Raises:
        UserError: ``only`` is no mapping.
    """
    rest, only = dict(overrides), overrides.get("only") or {}
    if not isinstance(only, dict):
        raise UserError(
            f"only={only}: write 'only={{experiments: [...], methods: [...]}}', or experiments=... alone"
        )
    only = dict(only)
    for key in ("experiments", "methods", "papers", "seeds"):
        if key in rest and isinstance(rest[key], str | int if key == "seeds" else str | list):
            only[key] = rest.pop(key)
    return (
        rest | {"only": {key: _listed(key, each) for key, each in only.items()}} if only else rest
    )


def _listed(key: str, value: Any) -> Any:
    """A list of names, numbers for seeds: a name of digits alone was read as a number before."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    elif isinstance(value, int):
        value = [value]
    if not isinstance(value, list):
        return value
    return typed(value) if key == "seeds" else [str(each) for each in value]


def papers() -> tuple[str, ...]:
    """The systems that stand for a paper: those with a block."""
    return tuple(name for name, system in systems().items() if system.settings)


def papers_of(experiment: Experiment) -> set[str]:
    """The papers whose method, images or block an experiment has."""
    blocks = experiment.blocks
    if not experiment.rows:
        blocks.pop(maker_of_images().name, None)  # nobody uses its images
    return (blocks.keys() | {*experiment.methods}) & {*papers()}


_SETS = "; --config 'seeds=[...]' sets others"


def require_known(only: Only, scales: dict[str, Settings]) -> None:
    """Refuses what ``only`` names and no scale has."""
    every = scales.values()
    known: dict[str, set[Any]] = {
        "experiments": {name for each in every for name in each.experiments},
        "methods": {*papers()} | {n for each in every for n in (*each.methods, *each.variants)},
        "seeds": {seed for each in every for seed in each.seeds},
        "papers": set(papers()),
    }
    faults = [
        f"only.{key}: {unknown(name, known[key], 3)}{_SETS if key == 'seeds' else ''}"
        for key in known
        for name in getattr(only, key) or ()
        if name not in known[key]
    ]
    if faults:
        raise UserError("\n".join([*faults, "See docs/running.md."]))


def select(settings: Settings) -> tuple[Settings, list[str]]:
    """The part of valid ``settings`` that their ``only`` asks for, and what it asks in vain.

    An experiment that stands ``beside`` one that is not selected stands for itself. The settings of
    what remains are as before, so that finished work is found again.
    """
    only = settings.only
    kept, faults = {}, []
    for name, experiment in settings.experiments.items():
        asked = only.experiments is None or name in only.experiments
        paper = only.papers is None or papers_of(experiment) & set(only.papers)
        part = _played(experiment, only.methods) if asked and paper else None
        if part is not None:
            kept[name] = part
        elif asked and only.experiments is not None:
            faults.append(_in_vain(name, experiment, only))
    for name in only.experiments or ():
        if name not in settings.experiments:
            faults.append(f"only.experiments: {name} is not part of scale {settings.scale}")
    played = {row for part in kept.values() for row in _rows(part)}
    for method in only.methods or ():
        if method not in played and kept and not faults:
            faults.append(f"only.methods: {method} is not played in {', '.join(kept)}")
    for seed in only.seeds or ():
        if seed not in settings.seeds:
            faults.append(
                f"only.seeds: scale {settings.scale} has the seeds {settings.seeds}, not {seed}; "
                f"--config 'seeds=[{seed}]' sets another"
            )
    if not kept and not faults:
        wanted = only.model_dump(exclude_none=True)
        faults.append(f"only: nothing of scale {settings.scale} is left of {wanted}")
    for name, experiment in kept.items():
        if experiment.beside not in kept:
            kept[name] = experiment.model_copy(update={"beside": None})
    seeds = [seed for seed in settings.seeds if only.seeds is None or seed in only.seeds]
    return settings.model_copy(update={"experiments": kept, "seeds": seeds}), faults


def _rows(experiment: Experiment) -> tuple[str, ...]:
    return (*experiment.rows, *_own_blocks(experiment))


def _own_blocks(experiment: Experiment) -> list[str]:
    """The blocks whose jobs nobody asks for but themselves."""
    return [name for name in experiment.blocks if not systems()[name].images]


def _played(experiment: Experiment, methods: list[str] | None) -> Experiment | None:
    """The experiment with ``methods`` alone, or None where it plays none of them."""
    if methods is None:
        return experiment
    if not {*methods} & {*_rows(experiment)}:
        return None
    update: dict[str, Any] = {
        key: [name for name in getattr(experiment, key) if name in methods]
        for key in ("methods", "ablations", "leave_one_out")
    }
    update |= {name: None for name in _own_blocks(experiment) if name not in methods}
    return experiment.model_copy(update=update)


def _in_vain(name: str, experiment: Experiment, only: Only) -> str:
    if only.papers is not None and not papers_of(experiment) & set(only.papers):
        papers = ", ".join(sorted(papers_of(experiment))) or "none"
        return (
            f"only.papers: {name} is no experiment of {', '.join(only.papers)}; it is of {papers}"
        )
    assert only.methods is not None  # without it, every method is played
    rows = ", ".join(_rows(experiment))
    return f"only.methods: {name} plays none of {', '.join(only.methods)}; it plays {rows}"
