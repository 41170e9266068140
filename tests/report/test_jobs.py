import pandas as pd
import synthetic_runs

from fedgenbench.report.jobs import jobs_behind
from fedgenbench.report.section import Section
from fedgenbench.report.tables import Cell, Column, Row, Table


def test_a_row_opens_the_job_of_its_name_or_the_jobs_that_it_names():
    columns = ["experiment", "job", "name", "seed", "digest", "folder"]
    jobs = [
        ("emoji_domains", "federate", "fedavg", 0, "aa", "runs/fedavg/seed0-aa"),
        ("emoji_domains", "server", "main", 0, "bb", "runs/server-main/seed0-bb"),
        ("emoji_domains", "guided", "main", 0, "cc", "runs/guided-main/seed0-cc"),
        ("cifar10-20", "server", "main", 0, "dd", "runs/server-main/seed0-dd"),
    ]
    grid = synthetic_runs.results(1, 1, frames={"jobs": pd.DataFrame(jobs, columns=columns)})
    rows = (
        Row("fedavg", "FedAvg", (Cell("1"),), experiment="emoji_domains"),
        Row(
            "sd", "SD", (Cell("1"),), experiment="emoji_domains", jobs=("server-main", "dense-main")
        ),
        Row("main", "Nothing is known of its experiment", (Cell("1"),)),
    )
    section = Section("s", tables=[Table("t", "t", (Column("c"),), rows)])
    assert jobs_behind(grid, [section]) == {
        "emoji_domains": {
            "fedavg": [[0, "aa", "runs/fedavg/seed0-aa"]],
            "server-main": [[0, "bb", "runs/server-main/seed0-bb"]],
        }
    }
