import pytest
import synthetic_runs

from fedgenbench.report.document import build_report


@pytest.fixture(scope="session")
def grid():
    return synthetic_runs.results()


@pytest.fixture(scope="session")
def report_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    build_report(synthetic_runs.report(folder), folder)
    return folder
