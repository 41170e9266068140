"""A made-up grid of runs, shaped like a real one: every number comes from a fixed formula or seed."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from fedgenbench.report import figures
from fedgenbench.report.contact import ClientImages, ContactSheet, Tile
from fedgenbench.report.document import Report
from fedgenbench.report.results import Results
from fedgenbench.report.section import Section, read_figure
from fedgenbench.report.verdicts import Claim
from fedgenbench.systems.field.figures import accuracy_curves, communication, final_accuracies
from fedgenbench.systems.field.tables import domain_table, method_table

EXPERIMENTS = {
    "fashion_mnist-10": {
        "title": "Fashion-MNIST, 10 clients",
        "role": "main",
        "dataset": "Fashion-MNIST",
        "classes": 10,
        "clients": 10,
        "partition": "2 majority classes hold 80 % of each client's 600 images",
        "rounds": 10,
        "local": "5 epochs, SGD 0.01, batch 50",
        "model": "LeNet-5",
        "note": "",
    },
    "cifar10-20": {
        "title": "CIFAR-10, 20 clients",
        "role": "main",
        "dataset": "CIFAR-10",
        "classes": 10,
        "clients": 20,
        "partition": "Dirichlet, α = 0.1",
        "rounds": 10,
        "local": "5 epochs, SGD 0.01, batch 50",
        "model": "small CNN",
        "note": "a tenth of the training images",
    },
    "emoji_domains": {
        "title": "EmojiDomains, 5 clients",
        "role": "main",
        "dataset": "EmojiDomains",
        "classes": 10,
        "clients": 5,
        "partition": "one drawing style per client",
        "rounds": 10,
        "local": "5 epochs, SGD 0.01, batch 32",
        "model": "ResNet-8",
        "note": "",
    },
}
DOMAINS = ["noto", "twemoji", "openmoji", "fluent", "blob"]

# id -> label, family, final personalised accuracy, gap of the global model, MB up (= down)
_METHODS = {
    "local": ("Local only", "control", 0.712, None, 0.0),
    "centralised": ("Centralised", "control", 0.905, 0.0, 0.0),
    "fedavg": ("FedAvg", "global", 0.768, 0.01, 0.246),
    "fedprox": ("FedProx", "global", 0.770, 0.01, 0.246),
    "scaffold": ("SCAFFOLD", "global", 0.779, 0.01, 0.492),
    "moon": ("MOON", "global", 0.766, 0.01, 0.246),
    "fedbn": ("FedBN", "global", 0.791, 0.05, 0.240),
    "feddyn": ("FedDyn", "global", 0.774, 0.0, 0.246),
    "feddf": ("FedDF", "global", 0.760, 0.0, 0.246),
    "fgl": ("FGL", "global", 0.751, 0.0, 0.02),
    "fedlmg": ("FedLMG", "global", 0.783, 0.0, 0.05),
    "fedavg_ft": ("FedAvg + fine-tuning", "personalised", 0.846, 0.08, 0.246),
    "ditto": ("Ditto", "personalised", 0.851, 0.09, 0.246),
    "fedrep": ("FedRep", "personalised", 0.858, None, 0.221),
    "fedper": ("FedPer", "personalised", 0.855, None, 0.221),
    "lg_fedavg": ("LG-FedAvg", "personalised", 0.809, None, 0.031),
    "apfl": ("APFL", "personalised", 0.849, 0.08, 0.246),
    "fedrod": ("FedRoD", "personalised", 0.862, 0.07, 0.250),
    "pfedsd": ("pFedSD", "personalised", 0.860, 0.09, 0.246),
    "fedpac": ("FedPAC", "personalised", 0.872, 0.08, 0.262),
    "pfedgpa": ("pFedGPA", "personalised", 0.868, None, 0.246),
    "warmfed": ("WarmFed", "personalised", 0.879, 0.06, 0.301),
}
ONE_SHOT = ("fgl", "fedlmg")
METHODS = {
    name: {"label": label, "family": family, "source": "made up"}
    for name, (label, family, *_) in _METHODS.items()
}


def results(
    seeds: int = 3,
    rounds: int = 10,
    experiments: tuple[str, ...] = tuple(EXPERIMENTS),
    methods: tuple[str, ...] = tuple(METHODS),
    **changes: Any,
) -> Results:
    rng = np.random.default_rng(7)
    score_rows, round_rows, run_rows = [], [], []
    shift = {"fashion_mnist-10": 0.0, "cifar10-20": -0.17, "emoji_domains": -0.08}
    for experiment in experiments:
        domains = DOMAINS if experiment == "emoji_domains" else [None] * 2
        for seed in range(seeds):
            split = rng.normal(0, 0.008)
            for method in methods:
                _, family, final, gap, megabytes = _METHODS[method]
                final += shift[experiment] + split + rng.normal(0, 0.003)
                key = {"experiment": experiment, "method": method, "seed": seed}
                key["dataset"] = EXPERIMENTS[experiment]["dataset"]
                speed = 0.3 + 0.04 * (len(method) % 8) + 0.03 * rng.random()
                ends = {"personal": final}
                if gap is not None and family != "control":
                    ends["global"] = final - gap
                if method == "centralised":
                    ends["global"] = final
                for metric, end in ends.items():
                    last = 1 if method in ONE_SHOT else rounds
                    for number in range(last + 1):
                        level = end - (end - 0.1) * np.exp(-speed * number)
                        level = end if number == last else level + rng.normal(0, 0.004)
                        for client in range(-1, len(domains)):
                            row = key | {"metric": metric, "client": client, "round": number}
                            row["domain"] = domains[client] if client >= 0 else None
                            row["value"] = level + (0 if client < 0 else 0.02 * (client - 2))
                            round_rows.append(row)
                            if number == last:
                                score_rows.append({k: v for k, v in row.items() if k != "round"})
                run_rows.append(
                    key
                    | {
                        "digest": hashlib.sha256(repr(key).encode()).hexdigest()[:10],
                        "wall_seconds": 40 + 30 * rng.random(),
                        "peak_memory_bytes": 1.2e9 + 1e8 * rng.random(),
                        "bytes_up": megabytes * 1e6,
                        "bytes_down": megabytes * 1e6,
                        "bytes_up_once": 0.0,
                        "bytes_down_once": 0.0,
                        "rounds": last,
                        "engine": "vmap",
                        "device": "cpu",
                        "hardware": "2 × x86-64 core",
                        "torch": "2.13.0",
                        "git_revision": "fbac10a" + "0" * 33,
                        "git_dirty": False,
                        "scale": "embedded",
                        "started": "2026-01-02T03:04:05+00:00",
                        "uses_shared": method in ("warmfed", "fedlmg", "fgl"),
                    }
                )
    runs = pd.DataFrame(run_rows)
    inputs = {
        "scores": pd.DataFrame(score_rows),
        "rounds": pd.DataFrame(round_rows),
        "runs": runs,
        "experiments": {name: EXPERIMENTS[name] for name in experiments},
        "methods": {name: METHODS[name] for name in methods},
        "expected": {
            (run.experiment, run.method, run.seed): run.digest for run in runs.itertuples()
        },
    }
    return Results(**(inputs | changes))


def images() -> ContactSheet:
    """Two clients' images of noise, and a pair of each."""
    rng = np.random.default_rng(3)

    def tile(words: str, twin: Tile | None = None) -> Tile:
        return Tile(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), words, twin)

    clients = [
        ClientImages(
            name,
            ("real", "adapter"),
            [(label, (tile(f"{name}, {label}: real"), None)) for label in ("face", "hand")],
            [tile(f"{name}, 0.09", tile(f"training image of {name}"))],
        )
        for name in DOMAINS[:2]
    ]
    return ContactSheet("emoji_domains", "Images by client and class.", clients)


def report(folder: Any) -> Report:
    """A whole report with pictures drawn into ``folder``."""
    grid = results()
    drawn = [
        accuracy_curves(grid, "fashion_mnist-10"),
        final_accuracies(grid, "personal"),
        communication(grid, "personal"),
    ]
    pictures = [read_figure(figures.emit(figure, folder)[0]) for figure in drawn]
    claims = [
        Claim(
            "pfedgpa-1",
            "pFedGPA is about two points more accurate than the other methods.",
            "abstract; digest of the paper",
            "contradicted",
            "pFedGPA − FedPAC = −0.5 ± 0.3 points over 3 seeds",
        ),
        Claim(
            "pfedgpa-2",
            "Aggregation by inversion and denoising beats averaging.",
            "Algorithm 1",
            "supported",
            "pFedGPA − FedAvg = 9.7 ± 1.2 points over 3 seeds",
        ),
        Claim("warmfed-1", "Fine-tuning on the server helps.", "digest", "undecided", "0.2 ± 0.6"),
        Claim(
            "warmfed-2",
            "Communication grows with 60 clients but stays small.",
            "digest",
            "not testable here",
            "needs the paper scale",
        ),
    ]
    sections = [
        Section(
            "pFedGPA: aggregation in weight space",
            "Clients hold few classes each. Every method starts from the same initial weights and "
            "the same split of a repetition.\n\nAll numbers are personalised accuracies.",
            tables=[method_table(grid, "personal", "Personalised accuracy and communication.")],
            figures=pictures,
            claims=claims[:2],
            name="pfedgpa",
        ),
        Section(
            "WarmFed: adapters and synthetic data",
            "One client per drawing style.",
            tables=[
                domain_table(
                    grid, "emoji_domains", "domains", "EmojiDomains: accuracy by drawing style."
                )
            ],
            claims=claims[2:],
            sheets=[images()],
            name="warmfed",
        ),
    ]
    cards = [
        {
            "title": "EmojiDomains",
            "counts": {"train": 4210, "test": 1805},
            "classes": [f"class {i}" for i in range(10)],
            "domains": DOMAINS,
            "works": [
                {
                    "work": name,
                    "licence": "CC-BY-4.0",
                    "by": "The designers of the set",
                    "url": f"https://example.org/{name}",
                }
                for name in DOMAINS
            ],
        }
    ]
    cuts = [
        {
            "experiment": "fashion_mnist-10",
            "setting": "rounds × local epochs",
            "here": "10 × 1",
            "paper": "200 × 5",
            "reason": "two cores",
        },
        {
            "experiment": "emoji_domains",
            "setting": "diffusion model",
            "here": "miniature pipeline, 32×32",
            "paper": "Stable Diffusion 1.5, 512×512",
            "reason": "no weights can be fetched",
        },
    ]
    return Report(
        "FedGenBench: three diffusion systems, one benchmark", grid, sections, cards, cuts
    )
