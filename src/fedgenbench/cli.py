"""The command ``fedgenbench``: looks at the grid, the machine and what was made.

Work is Snakemake's, but for a single job that somebody wants to look into. Each command imports what
it needs when it is called, so that help is quick.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fedgenbench.core.errors import UserError
from fedgenbench.core.scales import SCALES


class _Plain(click.Group):
    """Says what cannot be done in a sentence, without a traceback, and exits with status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            said = str(error)
        except ImportError as error:
            said = (
                f"the package {error.name} cannot be imported: `make setup` installs what is needed"
            )
        click.echo(f"Error: {said}", err=True)
        ctx.exit(2)


@click.group(
    cls=_Plain, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="fedgenbench")
def main() -> None:
    """FedGenBench: the grid, this machine, and what was made.

    Run it in the repository's folder. Jobs are run by `snakemake` (docs/running.md). Exit status: 0,
    1 where something was found amiss, 2 where the command could not do what it was asked.
    """


_scale = click.option(
    "--scale", type=click.Choice(SCALES), help="In place of the one that params.yaml names."
)


def _selection(command: Callable) -> Callable:
    """Options that pick a part of the grid; each may be given several times."""
    for key, what in (
        ("paper", "A system with a block, such as warmfed."),
        ("seed", "One of the scale's seeds."),
        ("method", "A key of `methods` or `variants`."),
        ("experiment", "A key of `experiments`."),
    ):
        command = click.option(f"--{key}", f"{key}s", multiple=True, help=what)(command)
    return command


@main.command()
@_scale
@_selection
@click.option(
    "--paths", is_flag=True, help="Also list every job's file; + stands before finished ones."
)
def plan(scale: str | None, paths: bool, **only: tuple[str, ...]) -> None:
    """Jobs by kind: finished, left, and their cost."""
    from fedgenbench.commands.plan import asked, shown

    click.echo(shown(asked(scale, only), paths))


@main.command()
@_scale
@click.pass_context
def report(context: click.Context, scale: str | None) -> None:
    """Tables, figures and the report from recorded results; compares what was computed here."""
    from fedgenbench.commands.report import make

    path, found = make(scale)
    click.echo("\n".join([found.sentence, *found.differing, f"The report: {path}"]))
    context.exit(1 if found.differing else 0)


@main.command()
@_scale
@_selection
@click.option(
    "--tflops",
    type=click.FloatRange(min=0, min_open=True),
    help="What a GPU does in a second, in 10^12 operations; `fedgenbench doctor --rate` measures it.",
)
@click.option(
    "--memory", type=click.FloatRange(min=0, min_open=True), help="What a GPU has, in GiB."
)
def forecast(
    scale: str | None, tflops: float | None, memory: float | None, **only: tuple[str, ...]
) -> None:
    """What the grid costs by experiment, finished or not.

    In CPU time, measured. With --tflops and --memory on GPUs, counted on the shapes of tensors:
    hours, the memory that each long job takes, and the largest batch that fits. Then data sets count
    that are not here, too.
    """
    from fedgenbench.commands.plan import asked

    if tflops is None and memory is None:
        from fedgenbench.plan.forecast import forecast as lines

        click.echo(lines(asked(scale, only)))
        return
    if tflops is None or memory is None:
        raise UserError("give both --tflops and --memory: what the GPU does, and what it has")
    from fedgenbench.plan.devices import forecast as on_devices

    click.echo(on_devices(asked(scale, only, whole=True), tflops, memory))


@main.command()
@click.argument("job")
@_scale
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder for its files, in place of the job's own.",
)
def run(job: str, scale: str | None, output: Path | None) -> None:
    """Run one job here, without Snakemake: for debugging.

    JOB is experiment/row/seed0, or the job's folder, as `fedgenbench plan --paths` lists it. What it
    builds on has to be there.
    """
    from fedgenbench.commands.plan import asked
    from fedgenbench.commands.run import run as run_job

    click.echo(run_job(asked(scale, {}), job, output))


@main.command()
@click.argument("experiment", required=False)
@_scale
def settings(experiment: str | None, scale: str | None) -> None:
    """The resolved settings, as YAML.

    Of a whole scale, or of one EXPERIMENT with its data set and each row's method.
    """
    from fedgenbench.commands.settings import resolved

    click.echo(resolved(scale, experiment), nl=False)


@main.command()
@click.option("--rate", is_flag=True, help="Measure what it does in a second instead (a minute).")
@click.pass_context
def doctor(ctx: click.Context, rate: bool) -> None:
    """What this machine has, and what the main job lacks.

    Exit status 1 when the main job cannot run.
    """
    if rate:
        from fedgenbench.commands.rate import measured

        click.echo(measured())
        return
    from fedgenbench.commands.doctor import examine, shown

    found = examine()
    click.echo(shown(found))
    ctx.exit(int(any(each.state == "lacking" for each in found)))


@main.command()
@_scale
@_selection
@click.pass_context
def verify(ctx: click.Context, scale: str | None, **only: tuple[str, ...]) -> None:
    """Finished jobs' files against their checksums.

    Exit status 1 when a file is not as recorded. Nothing is changed.
    """
    from fedgenbench.commands.plan import asked
    from fedgenbench.commands.verify import shown, verified

    checks = verified(asked(scale, only))
    click.echo(shown(checks))
    ctx.exit(int(any(each.faults for each in checks)))


@main.command()
def restore() -> None:
    """Bring recorded results back without computing."""
    from fedgenbench.commands.restore import restore as bring_back

    bring_back()
    click.echo("Restored: data and results are as recorded, and Snakemake has nothing to do.")


@main.command()
@_scale
@click.option("--evidence", is_flag=True, help="Also print what each verdict rests on.")
def claims(scale: str | None, evidence: bool) -> None:
    """Verdicts of the collected runs on papers' claims."""
    from fedgenbench.commands.claims import judged, shown

    found, remark = judged(scale)
    if remark:
        click.echo(f"Note: {remark}", err=True)
    click.echo(shown(found, evidence))


@main.command()
@click.argument("name")
@_scale
def show(name: str, scale: str | None) -> None:
    """What is behind a number of a report.

    NAME is a table, which its caption has in brackets, a row of it (TABLE/ROW), a job's digest, or a
    claim.
    """
    from fedgenbench.commands.plan import asked
    from fedgenbench.commands.show import shown

    click.echo(shown(asked(scale, {}), name))


@main.command("new-method")
@click.argument("name")
def new_method(name: str) -> None:
    """Start a method: its file and documentation row.

    Writes src/fedgenbench/federated/methods/NAME.py and a row in docs/methods.md.
    """
    from fedgenbench.commands.new_method import add

    click.echo(add(name))


@main.command("new-system")
@click.argument("name")
def new_system(name: str) -> None:
    """Start a paper's system: its folder and its test.

    Writes src/fedgenbench/systems/NAME, which is found by itself, and tests/systems/NAME.
    """
    from fedgenbench.commands.new_system import add

    click.echo(add(name))
