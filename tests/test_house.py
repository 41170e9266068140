"""Rules of the house that a reader of the code could forget: each is checked over all of it."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
CODE = sorted((REPOSITORY / "src").rglob("*.py")) + sorted(
    (REPOSITORY / "workflow_scripts").glob("*.py")
)
TREES = {
    str(path.relative_to(REPOSITORY)): ast.parse(path.read_text(encoding="utf-8")) for path in CODE
}

# The places that draw from torch's default generator, forked and seeded by name.
FORKED = [
    ("src/fedgenbench/models/__init__.py", "torch.random.default_generator.manual_seed"),
    ("src/fedgenbench/systems/fedlmg/dense.py", "torch.random.manual_seed"),
    ("src/fedgenbench/systems/fedlmg/training.py", "torch.random.manual_seed"),
]
NUMPY_RANDOM = {"Generator", "PCG64", "SeedSequence"}
TORCH_DRAWS = {
    *("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson"),
    *("rand_like", "randn_like", "randint_like"),
}
TENSOR_DRAWS = {
    *("random_", "uniform_", "normal_", "bernoulli_", "exponential_", "geometric_", "cauchy_"),
    *("log_normal_", "multinomial"),
}


def dotted(node):
    """``a.b.c`` of an attribute chain, or the empty string."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def keywords(call):
    return {keyword.arg: keyword.value for keyword in call.keywords}


def global_draws(tree):
    """Uses of a random generator that is not named by an address."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [name.name for name in node.names]
            module = getattr(node, "module", None)
            if "random" in (names if module is None else [module]):
                yield node.lineno, "import random"
            if module in ("numpy.random", "torch.random"):
                yield node.lineno, f"from {module}"
        name = dotted(node)
        if re.match(r"(np|numpy)\.random\.\w+$", name) and name.split(".")[2] not in NUMPY_RANDOM:
            yield node.lineno, name
        if re.search(r"^torch\..*\b(manual_seed|manual_seed_all|seed|set_rng_state)$", name):
            yield node.lineno, name
        if isinstance(node, ast.Call) and "generator" not in keywords(node):
            called = dotted(node.func)
            if called.startswith("torch.") and called.removeprefix("torch.") in TORCH_DRAWS:
                yield node.lineno, called
            if isinstance(node.func, ast.Attribute) and node.func.attr in TENSOR_DRAWS:
                yield node.lineno, f".{node.func.attr}"


def unsafe_reads(tree):
    """Ways to open a file that may run code from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {name.name for name in node.names} | {getattr(node, "module", None)}
            if ast.unparse(node) == "from joblib import cpu_count":
                continue  # the one thing of it that opens no file
            if found := names & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}:
                yield node.lineno, found.pop()
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        if name in ("pd.read_pickle", "yaml.unsafe_load", "yaml.full_load"):
            yield node.lineno, name
        # With weights_only=True torch.load builds tensors and plain containers and runs nothing.
        safe = keywords(node).get("weights_only")
        if name == "torch.load" and not (isinstance(safe, ast.Constant) and safe.value is True):
            yield node.lineno, name
        if name.endswith(".load") and "allow_pickle" in keywords(node):
            yield node.lineno, f"{name}(allow_pickle)"
        if name in ("eval", "exec", "os.system") or "shell" in keywords(node):
            yield node.lineno, name or "shell"


def found(search, allowed=()):
    return [
        f"{path}:{line} {what}"
        for path, tree in TREES.items()
        for line, what in search(tree)
        if (path, what) not in allowed
    ]


def test_no_draw_comes_from_a_global_generator():
    assert found(global_draws, allowed=FORKED) == []


def test_no_file_is_opened_in_a_way_that_may_run_code():
    assert found(unsafe_reads) == []


@pytest.mark.parametrize(
    "code",
    [
        "import random",
        "from random import shuffle",
        "from numpy.random import rand",
        "np.random.seed(0)",
        "g = np.random.default_rng()",
        "torch.manual_seed(0)",
        "torch.cuda.manual_seed_all(0)",
        "x = torch.randn(3)",
        "x.normal_()",
    ],
)
def test_the_search_for_global_generators_finds_them(code):
    assert list(global_draws(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "np.random.Generator(np.random.PCG64(np.random.SeedSequence(1)))",
        "torch.randn(3, generator=g)",
        "stream(0, 'a').normal()",
        "g = torch.Generator().manual_seed(3)",
    ],
)
def test_the_search_for_global_generators_spares_named_ones(code):
    assert not list(global_draws(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "np.load(p, allow_pickle=True)",
        "subprocess.run(c, shell=True)",
    ],
)
def test_the_search_for_unsafe_reads_finds_them(code):
    assert list(unsafe_reads(ast.parse(code)))


def test_a_dry_run_loads_nothing_heavy():
    code = """
import json, sys
from fedgenbench.plan.settings import load
from fedgenbench.plan.grid import PRODUCTS, Grid
from fedgenbench.plan.forecast import forecast
from fedgenbench.plan.needs import missing
_, scales = load()
for settings in scales.values():
    grid = Grid(settings, scales["paper"])
    forecast(grid), missing(grid), grid.method_notes, grid.experiment_notes
    [grid.product_digest(product) for product in PRODUCTS]
import fedgenbench.core.gpu, fedgenbench.core.job, fedgenbench.core.provenance
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    heavy = {"torch", "torchvision", "pandas", "matplotlib", "scipy", "diffusers", "transformers"}
    heavy |= {"peft", "jinja2", "typst", "pyarrow", "PIL", "snakemake", "dvc"}
    assert not heavy & set(json.loads(done.stdout))


# What is in the repository --------------------------------------------------------------------------
@pytest.fixture(scope="module")
def tracked():
    """The text files under version control, by path."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("not a Git checkout")
    texts = {}
    for name in listing.stdout.split("\0"):
        path = REPOSITORY / name
        if path.is_file():
            content = path.read_bytes()
            if b"\0" not in content[:8000]:
                texts[name] = content.decode(errors="replace")
    return texts


def lines_with(tracked, pattern):
    return [
        f"{name}:{number} {line.strip()[:100]}"
        for name, text in tracked.items()
        if re.search(pattern, text)
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(pattern, line)
    ]


def test_no_path_of_a_machine_is_tracked(tracked):
    here = re.escape(str(REPOSITORY)) + r"\b"
    somebody = r"(?<![\w.:/*])/(home|Users|root)/\w"
    assert lines_with(tracked, f"{here}|{somebody}") == []


PUBLIC = {"pypi.org", "files.pythonhosted.org", "registry.npmjs.org", "download.pytorch.org"}


def configured_hosts():
    """Package hosts that this machine is set up with."""
    home = Path.home()
    files = [
        "/etc/pip.conf",
        home / ".config/pip/pip.conf",
        home / ".pip/pip.conf",
        home / ".npmrc",
    ]
    files += [home / ".config/uv/uv.toml", os.environ.get("PIP_CONFIG_FILE", "/dev/null")]
    texts = [Path(file).read_text() for file in files if Path(file).is_file()]
    texts += [
        v for k, v in os.environ.items() if re.search("INDEX|REGISTRY|PROXY", k, re.IGNORECASE)
    ]
    hosts = set(re.findall(r"://(?:[^/\s@]+@)?([\w-]+(?:\.[\w-]+)+)", "\n".join(texts)))
    return hosts - PUBLIC


def test_no_package_host_of_a_machine_is_tracked(tracked):
    for host in configured_hosts():
        assert lines_with(tracked, re.escape(host)) == []
    tools = (
        r"://[^/\s]*(artifactory|nexus|devpi|verdaccio)|--(extra-)?index-url[= ]https?:|^registry="
    )
    texts = {name: text for name, text in tracked.items() if name != "tests/test_house.py"}
    assert lines_with(texts, tools) == []


# Sizes -----------------------------------------------------------------------------------------------
MODULE, FUNCTION, SIGNATURE = 300, 60, 6
LARGER = json.loads((REPOSITORY / "tests/larger.json").read_text(encoding="utf-8"))


def sizes(path, tree):
    """(place, kind, size) of a module and its functions; ``self`` and ``cls`` do not count."""
    yield path, "lines", len((REPOSITORY / path).read_text(encoding="utf-8").splitlines())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            place, given = f"{path}:{node.name}", node.args
            names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            yield place, "lines", node.end_lineno - node.lineno + 1
            yield place, "parameters", len([name for name in names if name not in ("self", "cls")])


def test_modules_functions_and_signatures_stay_small():
    """Those that are larger stand in larger.json, by name and size: they may shrink, not grow."""
    found = {}
    for path, tree in TREES.items():
        for place, kind, size in sizes(path, tree):
            most = SIGNATURE if kind == "parameters" else FUNCTION if ":" in place else MODULE
            if size > most:
                found[f"{place} {kind}"] = size
    grown = {key: size for key, size in found.items() if size > LARGER.get(key, 0)}
    assert grown == {}, "split them, or say in tests/larger.json how large they may be"
    assert sorted(LARGER.keys() - found.keys()) == [], "these are small now: take them out"
