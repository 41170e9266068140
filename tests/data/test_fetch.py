import gzip
import io
import json
import re
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from stand_ins import IDX, entry, pins, write_files, write_tgz

from fedgenbench.core.errors import UserError
from fedgenbench.core.files import read_json
from fedgenbench.data import download, sources
from fedgenbench.data import fetch as module
from fedgenbench.data.fetch import fetch
from fedgenbench.data.sources import source_of, source_table, weights_table

CONTENTS = {"a.bin": b"first file", "b/c.bin": b"second file"}
NPM = {
    "kind": "npm",
    "archives": {"@us/toy@1.0.0": {"a.bin": "package/a.bin", "b/c.bin": "package/sub/c.bin"}},
}
PYPI = {"kind": "pypi", "archives": {"our-toy==1.0.0": NPM["archives"]["@us/toy@1.0.0"]}}
PACKED = {"package/a.bin": b"first file", "package/sub/c.bin": b"second file"}


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder that the stand-ins for npm, pip, apt-get and dpkg-deb serve, and nothing else on PATH."""
    programs, shelf = tmp_path / "programs", tmp_path / "shelf"
    programs.mkdir()
    shelf.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def program(name, body):
        path = programs / name
        path.write_text(f"#!{sys.executable}\nimport pathlib, shutil, sys\n{body}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    log = f"open({str(tmp_path / 'calls')!r}, 'a').write(' '.join(sys.argv) + '\\n')\n"
    copy = f"for path in pathlib.Path({str(shelf)!r}).iterdir(): shutil.copy(path, '.')\n"
    program("npm", log + copy)
    program("pip", log + copy)
    program("apt-get", log + f"if 'update' in sys.argv: sys.exit('one repository is down')\n{copy}")
    # In these tests a .deb is the tar that the real program would unwrap.
    program("dpkg-deb", log + "shutil.copyfileobj(open(sys.argv[2], 'rb'), sys.stdout.buffer)\n")
    return shelf


def held(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_npm_leaves_the_files_and_where_they_came_from(tmp_path, shelf, set_table):
    set_table({"toy": entry(CONTENTS, sources=[NPM])})
    write_tgz(shelf / "us-toy-1.0.0.tgz", PACKED | {"package/index.js": b"never kept"})
    target = tmp_path / "raw" / "toy"
    fetch("toy", target)
    assert held(target) == {"a.bin", "b/c.bin", "SOURCE.json"}
    assert {name: (target / name).read_bytes() for name in CONTENTS} == CONTENTS
    source = read_json(target / "SOURCE.json")
    assert source["files"] == pins(CONTENTS)
    assert source["source"]["kind"] == "npm"
    assert list(source["source"]["archives"]) == ["us-toy-1.0.0.tgz"]
    assert source["works"][0]["licence"] == "MIT"
    assert list(target.parent.iterdir()) == [target]
    assert "--ignore-scripts" in (tmp_path / "calls").read_text()


def test_a_wheel_leaves_the_files_and_nothing_is_built(tmp_path, shelf, set_table):
    set_table({"toy": entry(CONTENTS, sources=[PYPI])})
    with zipfile.ZipFile(shelf / "our_toy-1.0.0-py3-none-any.whl", "w") as wheel:
        for name, content in (PACKED | {"package/__init__.py": b"never kept"}).items():
            wheel.writestr(name, content)
    target = tmp_path / "raw" / "toy"
    fetch("toy", target)
    assert held(target) == {"a.bin", "b/c.bin", "SOURCE.json"}
    assert {name: (target / name).read_bytes() for name in CONTENTS} == CONTENTS
    assert "--no-deps --only-binary=:all: our-toy==1.0.0" in (tmp_path / "calls").read_text()


def test_weights_are_fetched_like_a_data_set_and_are_none(tmp_path, shelf, monkeypatch):
    # Nor can one take the name of the other.
    with pytest.raises(UserError, match=r"inception is a network of weights\.yaml: choose another"):
        sources._complete("inception", {"facts": {}})
    table = {"toy": entry(CONTENTS, sources=[PYPI])}
    for part in (sources, module):
        monkeypatch.setattr(part, "weights_table", lambda: table)
    refused(tmp_path / "raw" / "toy", "no source gave the weights toy", "pypi our-toy==1.0.0")


def test_a_repeat_needs_no_network(tmp_path, shelf, set_table):
    set_table({"toy": entry(CONTENTS, sources=[NPM])})
    write_tgz(shelf / "us-toy-1.0.0.tgz", PACKED)
    fetch("toy", tmp_path / "toy")
    before = (tmp_path / "calls").read_text(), (tmp_path / "toy" / "SOURCE.json").read_bytes()
    fetch("toy", tmp_path / "toy")
    after = (tmp_path / "calls").read_text(), (tmp_path / "toy" / "SOURCE.json").read_bytes()
    assert before == after


def test_files_placed_by_hand_are_accepted(tmp_path, shelf, set_table):
    set_table({"toy": entry(CONTENTS, sources=[NPM])})
    fetch("toy", write_files(tmp_path / "toy", CONTENTS))
    assert read_json(tmp_path / "toy" / "SOURCE.json")["source"] == {"kind": "found in place"}
    assert not (tmp_path / "calls").exists()


def test_an_altered_file_is_replaced_and_a_stranger_left_alone(tmp_path, shelf, set_table):
    set_table({"toy": entry(CONTENTS, sources=[NPM])})
    write_tgz(shelf / "us-toy-1.0.0.tgz", PACKED)
    target = write_files(tmp_path / "toy", CONTENTS | {"a.bin": b"first fils", "notes": b"mine"})
    fetch("toy", target)
    assert (target / "a.bin").read_bytes() == b"first file"
    assert (target / "notes").read_bytes() == b"mine"


def refused(target, *expected):
    with pytest.raises(UserError) as caught:
        fetch("toy", target)
    for text in ("toy", str(target), *pins(CONTENTS), *pins(CONTENTS).values(), *expected):
        assert text in str(caught.value)
    assert held(target.parent) == set()
    assert list(target.parent.iterdir()) == []


def test_wrong_content(tmp_path, shelf, set_table):
    set_table({"toy": entry(CONTENTS, sources=[NPM])})
    write_tgz(shelf / "us-toy-1.0.0.tgz", PACKED | {"package/a.bin": b"first fils"})
    refused(tmp_path / "raw" / "toy", "npm @us/toy@1.0.0", "a.bin truncated or altered")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.95])
def test_cut_off_download(tmp_path, shelf, set_table, kept):
    noise = np.random.default_rng(0).bytes(20_000)
    set_table({"toy": entry(CONTENTS | {"a.bin": noise}, sources=[NPM])})
    archive = shelf / "us-toy-1.0.0.tgz"
    write_tgz(archive, PACKED | {"package/a.bin": noise})
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * kept)])
    with pytest.raises(UserError, match="no source gave the data set toy"):
        fetch("toy", tmp_path / "raw" / "toy")
    assert list((tmp_path / "raw").iterdir()) == []


def test_missing_member(tmp_path, shelf, set_table):
    set_table({"toy": entry(CONTENTS, sources=[NPM])})
    write_tgz(shelf / "us-toy-1.0.0.tgz", {"package/a.bin": b"first file"})
    refused(tmp_path / "raw" / "toy", "holds no file package/sub/c.bin")


def test_hostile_archive_writes_nowhere_else(tmp_path, shelf, set_table):
    set_table({"toy": entry(CONTENTS, sources=[NPM])})
    secret = tmp_path / "secret"
    secret.write_bytes(b"second file")
    with tarfile.open(shelf / "us-toy-1.0.0.tgz", "w:gz") as tar:
        for name in ("../../../escaped", "/escaped", "package/a.bin"):
            member = tarfile.TarInfo(name)
            member.size = 10
            tar.addfile(member, io.BytesIO(b"first file"))
        link = tarfile.TarInfo("package/sub/c.bin")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        tar.addfile(link)
    refused(tmp_path / "raw" / "toy", "holds no file package/sub/c.bin")
    assert not list(tmp_path.rglob("escaped"))


def test_missing_client_and_dead_host_are_both_named(tmp_path, monkeypatch, set_table):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    address = (tmp_path / "nowhere" / "toy.tar.gz").as_uri()
    http = {"kind": "http", "archives": {address: {"a.bin": "a.bin", "b/c.bin": "c.bin"}}}
    debian = {"kind": "debian", "archives": {"dataset-toy": {}}}
    set_table({"toy": entry(CONTENTS, sources=[NPM, debian, http])})
    refused(
        tmp_path / "raw" / "toy",
        "npm is not installed",
        "apt-get is not installed",
        f"http {address}",
        "No such file",
    )


def test_a_failing_client_is_quoted(tmp_path, shelf, set_table):
    set_table({"toy": entry(CONTENTS, sources=[NPM])})
    program = tmp_path / "programs" / "npm"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('404 Not Found')\n")
    refused(tmp_path / "raw" / "toy", "npm ended with status 1: 404 Not Found")


def test_the_next_source_answers(tmp_path, shelf, set_table):
    (tmp_path / "programs" / "npm").unlink()
    (shelf / "a.bin.gz").write_bytes(gzip.compress(b"first file"))
    write_tgz(shelf / "rest.tar.gz", {"rest/c.bin": b"second file"})
    http = {
        "kind": "http",
        "archives": {
            (shelf / "a.bin.gz").as_uri(): {"a.bin": None},
            (shelf / "rest.tar.gz").as_uri(): {"b/c.bin": "rest/c.bin"},
        },
    }
    set_table({"toy": entry(CONTENTS, sources=[NPM, http])})
    fetch("toy", tmp_path / "raw" / "toy")
    source = read_json(tmp_path / "raw" / "toy" / "SOURCE.json")["source"]
    assert source["kind"] == "http"
    assert set(source["archives"]) == {"a.bin.gz", "rest.tar.gz"}


def test_debian_needs_no_root_and_no_working_neighbours(tmp_path, shelf, set_table, monkeypatch):
    debian = {
        "kind": "debian",
        "archives": {"dataset-toy": {"a.bin": "usr/share/a.bin.gz", "b/c.bin": "usr/share/c.bin"}},
    }
    set_table({"toy": entry(CONTENTS, sources=[debian])})
    with tarfile.open(shelf / "dataset-toy_2~git1-1_all.deb", "w") as tar:
        for name, content in (
            ("a.bin.gz", gzip.compress(b"first file")),
            ("c.bin", b"second file"),
        ):
            member = tarfile.TarInfo(f"./usr/share/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    # A relative target: apt-get and dpkg-deb run in another folder.
    monkeypatch.chdir(tmp_path)
    fetch("toy", module.Path("raw/toy"))
    assert (tmp_path / "raw/toy/a.bin").read_bytes() == b"first file"
    source = read_json(tmp_path / "raw/toy/SOURCE.json")["source"]
    assert list(source["archives"]) == ["dataset-toy_2~git1-1_all.deb"]
    calls = (tmp_path / "calls").read_text()
    assert "install" not in calls
    assert re.search(rf"Dir::State={tmp_path}\S+ .*Dir::Cache={tmp_path}\S+ .*download", calls)


def test_interruption_leaves_nothing_behind(tmp_path, set_table, monkeypatch):
    def interrupted(packages, scratch):
        (scratch / "half.tgz").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setitem(module._KINDS, "npm", interrupted)
    set_table({"toy": entry(CONTENTS, sources=[NPM])})
    with pytest.raises(KeyboardInterrupt):
        fetch("toy", tmp_path / "raw" / "toy")
    assert list((tmp_path / "raw").iterdir()) == []


def test_unknown_data_set(tmp_path):
    with pytest.raises(
        UserError,
        match=r"femnist.*fashion_mnist, mnist, cifar10, emoji_domains, public_drawings, emnist",
    ):
        fetch("femnist", tmp_path / "femnist")


@pytest.fixture
def other_disk():
    """A folder on another file system than the temporary ones."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
        pytest.skip("there is one file system only")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


def test_a_raw_folder_may_be_a_link_to_another_disk(tmp_path, shelf, set_table, other_disk):
    set_table({"toy": entry(CONTENTS, sources=[NPM])})
    write_tgz(shelf / "us-toy-1.0.0.tgz", PACKED)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "toy").symlink_to(other_disk)
    fetch("toy", tmp_path / "raw" / "toy")
    assert held(other_disk) == {"a.bin", "b/c.bin", "SOURCE.json"}
    assert (tmp_path / "raw" / "toy").is_symlink()
    # The link stays where no source answers, too.
    (other_disk / "a.bin").write_bytes(b"altered")
    (shelf / "us-toy-1.0.0.tgz").unlink()
    with pytest.raises(UserError, match="no source gave the data set toy"):
        fetch("toy", tmp_path / "raw" / "toy")
    assert held(other_disk) == {"a.bin", "b/c.bin", "SOURCE.json"}


def test_a_link_that_leads_nowhere_is_named(tmp_path, shelf, set_table):
    set_table({"toy": entry(CONTENTS, sources=[NPM])})
    (tmp_path / "toy").symlink_to(tmp_path / "not mounted")
    with pytest.raises(UserError, match=rf"{tmp_path / 'toy'} is a link that leads nowhere"):
        fetch("toy", tmp_path / "toy")


def test_the_scratch_of_a_killed_fetch_goes_and_a_living_one_stays(tmp_path, shelf, set_table):
    set_table({"toy": entry(CONTENTS, sources=[NPM])})
    write_tgz(shelf / "us-toy-1.0.0.tgz", PACKED)
    target = tmp_path / "toy"
    code = (
        "import sys, time, pathlib; from fedgenbench.data.fetch import _scratch\n"
        "with _scratch(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half.tgz').write_bytes(b'half'); print(folder.name, flush=True)\n"
        "    time.sleep(60)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, target], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        living, killed = (process.stdout.readline().strip() for process in processes)
        processes[1].kill()
        processes[1].wait()
        assert {path.name for path in target.iterdir()} == {living, killed}
        fetch("toy", target)
        assert held(target) == {"a.bin", "b/c.bin", "SOURCE.json", f"{living}/half.tgz"}
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_fetches_that_start_together_leave_each_other_alone(tmp_path):
    together, found = threading.Barrier(8, timeout=60), []

    def begin():
        for _ in range(20):
            together.wait()
            with module._scratch(tmp_path / "toy") as folder:
                together.wait()
                found.append(folder.is_dir())
                together.wait()

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 160


@pytest.fixture
def proxy(monkeypatch):
    """``proxy(port)`` names it in the environment, and nothing else."""

    def name(port):
        for scheme in ("http", "https", "all", "no"):
            for variable in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
                monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setattr(download, "PROXY_ANSWERS", 0.3)
        download.dead_proxy.cache_clear()

    yield name
    download.dead_proxy.cache_clear()


def test_a_dead_proxy_is_named_at_once(tmp_path, shelf, set_table, proxy):
    set_table({"toy": entry(CONTENTS, sources=[NPM])})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        proxy(port)
        refused(
            tmp_path / "raw" / "toy",
            f"the proxy of https_proxy, 127.0.0.1:{port}, is dead (no answer)",
        )
    proxy(port)  # now nobody listens
    refused(tmp_path / "raw" / "toy", "is dead ([Errno 111] Connection refused)")
    assert not (tmp_path / "calls").exists()


def test_a_proxy_that_answers_or_is_bypassed_stops_nothing(
    tmp_path, shelf, set_table, proxy, monkeypatch
):
    set_table({"toy": entry(CONTENTS, sources=[NPM])})
    write_tgz(shelf / "us-toy-1.0.0.tgz", PACKED)
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy(server.getsockname()[1])

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        fetch("toy", tmp_path / "one")
        thread.join()
    proxy(9)
    monkeypatch.setenv("no_proxy", "packages.example.org")
    fetch("toy", tmp_path / "two")
    assert held(tmp_path / "two") == {"a.bin", "b/c.bin", "SOURCE.json"}


def test_a_client_that_hangs_is_ended(tmp_path, shelf, set_table, monkeypatch):
    set_table({"toy": entry(CONTENTS, sources=[NPM])})
    monkeypatch.setattr(download, "SILENCE", 1)
    program = tmp_path / "programs" / "npm"
    log = tmp_path / "late"
    program.write_text(
        f"#!{sys.executable}\nimport time\ntime.sleep(5)\nopen({str(log)!r}, 'w').write('alive')\n"
    )
    refused(tmp_path / "raw" / "toy", "npm received nothing for 1 seconds")
    time.sleep(4)
    assert not log.exists()


def test_cifar10_png_gives_the_binary_batches(tmp_path):
    from PIL import Image

    labels = np.arange(60_000) % 10
    pixels = np.zeros((10_000, 32, 32, 3), np.uint8)
    pixels[:, 3, 5] = (200, 100, 50)
    pixels[:, 0, 0, 0] = np.arange(10_000) % 251
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        Image.fromarray(pixels.reshape(10_000, 1024, 3)).save(
            tmp_path / f"{name}.png", compress_level=1
        )
    (tmp_path / "train_lables.json").write_text(json.dumps(labels[:50_000].tolist()))
    (tmp_path / "test_lables.json").write_text(json.dumps((labels[50_000:] * 0 + 7).tolist()))
    module._cifar10_png(tmp_path)
    records = np.fromfile(tmp_path / "data_batch_2.bin", np.uint8).reshape(10_000, 3073)
    assert (records[:, 0] == labels[10_000:20_000]).all()
    planes = records[:, 1:].reshape(10_000, 3, 32, 32)
    assert planes[77, :, 3, 5].tolist() == [200, 100, 50]
    assert (planes[:, 0, 0, 0] == np.arange(10_000) % 251).all()
    assert (np.fromfile(tmp_path / "test_batch.bin", np.uint8).reshape(-1, 3073)[:, 0] == 7).all()


@pytest.mark.parametrize("dataset", source_table() | weights_table())
def test_the_real_table_is_sound(dataset):
    spec = source_of(dataset)
    pinned = [digest for digest in spec["files"].values() if digest is not None]
    if len(pinned) < len(spec["files"]):
        # Then the archives are.
        assert all(set(source["pins"]) == set(source["archives"]) for source in spec["sources"])
        pinned += [pin for source in spec["sources"] for pin in source["pins"].values()]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in pinned)
    assert {"work", "licence", "by", "url"} == set.intersection(*map(set, spec["works"]))
    for source in spec["sources"]:
        assert source["kind"] in module._KINDS
        given = [name for members in source["archives"].values() for name in members]
        assert len(given) == len(set(given))
        if "convert" in source:
            assert source["convert"] in module._CONVERTERS
        else:
            assert set(given) == set(spec["files"])
        if source["kind"] == "npm":
            assert all(re.search(r".@\d+\.\d+\.\d+$", archive) for archive in source["archives"])
        if source["kind"] == "pypi":
            assert all(re.search(r".==\d+\.\d+\.\d+$", archive) for archive in source["archives"])


def test_the_idx_sets_share_their_file_names():
    table = source_table()
    assert set(table["mnist"]["files"]) == set(table["fashion_mnist"]["files"]) == set(IDX)


def test_nothing_here_imports_torch():
    code = (
        "import sys, fedgenbench.data.fetch, fedgenbench.data.prepare, fedgenbench.data.partition;"
        "sys.exit('torch' in sys.modules or 'PIL' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
