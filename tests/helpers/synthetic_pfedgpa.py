"""Made-up runs and studies of pFedGPA whose means and intervals can be worked out by hand.

A seed shifts every accuracy by a point (``SPLIT``); beyond that only pFedGPA's own vary, by
``JITTER``. So a difference to pFedGPA has the interval of ``JITTER``: t(0.975, 2) · 0.002 / √3.
"""

from typing import Any

import pandas as pd

from fedgenbench.report.results import Results

SPLIT = (-0.01, 0.0, 0.01)
JITTER = (0.002, 0.0, -0.002)
CLIENTS, ROUNDS = 4, (2, 4, 6)

_SHARED = {
    "classes": 10,
    "clients": 10,
    "partition": "2 majority classes hold 80 % of each client's images",
    "rounds": 6,
    "local": "1 epoch, SGD 0.01, batch 50",
    "model": "fedpac_cnn",
    "note": "",
}
EXPERIMENTS = {
    "fashion_mnist-10": _SHARED
    | {"title": "Fashion-MNIST, 10 clients", "role": "main", "dataset": "Fashion-MNIST"},
    "cifar10-10": _SHARED
    | {"title": "CIFAR-10, 10 clients", "role": "main", "dataset": "CIFAR-10"},
    "fashion_mnist-tuning": _SHARED
    | {"title": "Fashion-MNIST, validation", "role": "tuning", "dataset": "Fashion-MNIST"},
}
ABSENT = {
    f"{name}-{clients}": {
        "title": f"{dataset}, {clients} clients",
        "dataset": dataset,
        "clients": clients,
        "reason": "no data" if dataset == "EMNIST" else "not run at this scale",
    }
    for name, dataset in (
        *(("fashion_mnist", "Fashion-MNIST"), ("emnist", "EMNIST")),
        ("cifar10", "CIFAR-10"),
    )
    for clients in (10, 20, 100)
    if f"{name}-{clients}" not in EXPERIMENTS
}
# id -> label, family, final accuracy on Fashion-MNIST (CIFAR-10: a quarter less)
_METHODS = {
    "local": ("Local only", "control", 0.80),
    "centralised": ("Centralised", "control", 0.90),
    "fedavg": ("FedAvg", "global", 0.72),
    "fedprox": ("FedProx", "global", 0.73),
    "fedavg_ft": ("FedAvg + FT", "personalised", 0.84),
    "fedper": ("FedPer", "personalised", 0.835),
    "lg_fedavg": ("LG-FedAvg", "personalised", 0.805),
    "fedrep": ("FedRep", "personalised", 0.83),
    "fedbabu": ("FedBABU", "personalised", 0.82),
    "ditto": ("Ditto", "personalised", 0.825),
    "pfedme": ("pFedMe", "personalised", 0.77),
    "per_fedavg": ("Per-FedAvg", "personalised", 0.815),
    "pfedhn": ("pFedHN", "personalised", 0.78),
    "fedpac": ("FedPAC", "personalised", 0.85),
    "pfedgpa": ("pFedGPA", "personalised", 0.82),
    "pfedgpa_own": ("own upload (local training)", "variant", 0.81),
    "pfedgpa_mean": ("FedAvg mean", "variant", 0.84),
    "pfedgpa_noise": ("own upload with noise", "variant", 0.812),
    "pfedgpa_eta_1": ("η = 1 (literal)", "variant", 0.81),
    "pfedgpa_start_1000": ("start at 1000", "variant", 0.818),
    "fedprox_mu_01": ("FedProx, μ = 0.1", "variant", 0.735),
    "fedprox_mu_1": ("FedProx, μ = 1", "variant", 0.71),
}
TUNED = ("fedavg", "fedprox_mu_01", "fedprox_mu_1")
GENERATING = ("pfedgpa", "pfedgpa_noise", "pfedgpa_eta_1", "pfedgpa_start_1000")
METHODS = {
    name: {
        "label": label,
        "family": family,
        "source": "the paper" if name.startswith("pfedgpa") else "another paper",
    }
    for name, (label, family, _) in _METHODS.items()
}


def results(hollow: bool = False, seeds: int = 3, studies: bool = True, **changes: Any) -> Results:
    """A grid with studies; ``hollow``: pFedGPA hands back the uploads, and scores as they do."""
    scores, rounds, runs, server = [], [], [], []
    for experiment in EXPERIMENTS:
        tuning = EXPERIMENTS[experiment]["role"] == "tuning"
        for method in _METHODS:
            if tuning != (method in TUNED) and not (method == "fedavg" and not tuning):
                continue
            final = _METHODS["pfedgpa_own" if hollow and method == "pfedgpa" else method][2]
            final *= 0.75 if experiment == "cifar10-10" else 1.0
            for seed in range(seeds):
                key = {"experiment": experiment, "method": method, "seed": seed}
                level = final + SPLIT[seed] + (JITTER[seed] if method == "pfedgpa" else 0.0)
                scores += _by_client(key | {"metric": "personal", "domain": None}, level)
                for number in ROUNDS:
                    trained = level - 0.02 * (ROUNDS[-1] - number) / 2
                    values = {"personal": trained, "trained": trained, "start": trained - 0.015}
                    for metric, value in values.items():
                        base = key | {"metric": metric, "domain": None, "round": number}
                        rounds += _by_client(base, value)
                    if method in GENERATING and number > 2:
                        copy = hollow or method == "pfedgpa_eta_1"
                        server += _server(key | {"round": number}, trained, copy)
                runs.append(key | _run(key))
    runs = pd.DataFrame(runs)
    inputs = {
        "scores": pd.DataFrame(scores),
        "rounds": pd.DataFrame(rounds),
        "runs": runs,
        "server": pd.DataFrame(server),
        "experiments": EXPERIMENTS,
        "methods": METHODS,
        "expected": {(r.experiment, r.method, r.seed): r.digest for r in runs.itertuples()},
        "absent": ABSENT,
    }
    if studies:
        inputs |= {
            "weights": _weights(seeds),
            "newcomers": _newcomers(seeds),
            "newcomer_main": (5, 1.0),
        }
    return Results(**(inputs | changes))


def _by_client(base: dict, mean: float) -> list[dict]:
    """The mean (client -1), and clients spread evenly around it."""
    spread = [0.0, *(0.02 * (client - (CLIENTS - 1) / 2) for client in range(CLIENTS))]
    return [base | {"client": c, "value": mean + s} for c, s in enumerate(spread, start=-1)]


def _server(base: dict, trained: float, copy: bool) -> list[dict]:
    """Generation moves the weights by 20, 30, 40, 50 %; the last client's are nearest to client 0's."""
    per_client = {
        "change": [0.01] * CLIENTS,
        "moved": [0.0] * CLIENTS if copy else [0.2, 0.3, 0.4, 0.5],
        "nearest": [0, 1, 2, 3] if copy else [0, 1, 2, 0],
        "gap": [0.01 if copy else 0.25] * CLIENTS,
        "generated": [trained - (0.0 if copy else 0.03)] * CLIENTS,
        "reconstructed": [trained - 0.005] * CLIENTS,
        "overlap": [1.0 if copy else 0.6] * CLIENTS,
    }
    alone = {"loss": 0.4, "seen_loss": 0.45, "held_out_loss": 0.9, "held_out_error": 0.95}
    alone["reconstruction"] = 0.97
    rows = [(n, c, v) for n, values in per_client.items() for c, v in enumerate(values)]
    rows += [(name, -1, value) for name, value in alone.items()]
    return [base | {"name": n, "client": c, "value": float(v)} for n, c, v in rows]


def _run(key: dict) -> dict:
    return {
        "digest": "-".join(map(str, key.values())),
        "scale": "embedded",
        "rounds": 6,
        "engine": "sequential",
        "device": "cpu",
        "hardware": "2 × x86-64 core",
        "wall_seconds": 52.0 if key["method"] == "pfedgpa" else 40.0,
        "peak_memory_bytes": 1.2e9,
        "bytes_up": 0.47e6,
        "bytes_down": 0.47e6,
        "bytes_up_once": 0.0,
        "bytes_down_once": 0.0,
        "torch": "2.13.0",
        "git_revision": "fbac10a" + "0" * 33,
        "git_dirty": False,
        "started": "2026-01-02T03:04:05+00:00",
    }


def _weights(seeds: int) -> pd.DataFrame:
    """Trained from the upload 0.80, from the mean 0.83; η pulls linearly from one to the other."""
    rows = []
    for fit in ("linear", "conv"):
        settings = [
            ("own", None, None, 0.0),
            ("mean", None, None, 1.0),
            ("stored", None, None, 0.1),
        ]
        settings += [
            ("dpm_encoder", eta, start, (1 - eta) * (0.9 if start == 1000 else 0.6))
            for start in (300, 1000)
            for eta in ((1.0, 0.7, 0.5, 0.0) if start == 300 else (0.7, 0.5, 0.0))
        ]
        settings += [("sdedit", 0.7, 100, 0.8), ("latent_mean", 0.7, 300, 1.0)]
        for seed in range(seeds):
            base = {"experiment": "fashion_mnist-10", "seed": seed, "fit": fit}
            for rule, eta, start, pull in settings:
                key = base | {"rule": rule, "eta": eta, "start": start}
                means = {
                    "before": 0.80 + SPLIT[seed],
                    "generated": 0.80 - 0.1 * pull + SPLIT[seed],
                    "trained": 0.80 + 0.03 * pull + SPLIT[seed],
                    "change": 0.02 * pull,
                    "moved": pull,
                    "gap": 0.2 * pull,
                    "group_kept": 1.0,
                    "noised": 0.80 - 0.05 * pull + SPLIT[seed],
                    "overlap": 1.0 - 0.5 * pull,
                    "noised_overlap": 1.0 - 0.2 * pull,
                }
                for client in range(CLIENTS):
                    values = means | {"nearest": client if pull < 0.5 else 0}
                    rows += [
                        key | {"metric": metric, "client": client, "value": float(value)}
                        for metric, value in values.items()
                    ]
            found = {
                "loss": 0.4,
                "held_out_loss": 0.9,
                "seen_loss": 0.45,
                "held_out_error": 0.95,
                "reconstruction_test": 0.79,
                "reconstruction_train": 0.88,
                "upload_test": 0.80,
                "upload_train": 0.90,
            }
            key = base | {"rule": "fit", "eta": None, "start": None, "client": -1}
            rows += [key | {"metric": metric, "value": value} for metric, value in found.items()]
            for uploads, unseen in ((1, 0.9), (3, 0.6)) if fit == "linear" else ():
                key |= {"rule": "density", "start": uploads}
                few = {"held_out_loss": unseen, "seen_loss": 0.45, "held_out_error": unseen / 2}
                rows += [key | {"metric": metric, "value": value} for metric, value in few.items()]
    return pd.DataFrame(rows).astype({"eta": float, "start": float})


def _newcomers(seeds: int) -> pd.DataFrame:
    """From scratch 0.5 after round 1, three points more in each; the arms stand apart from it."""
    lead = {"local": 0.0, "fedavg_ft": 0.15, "unguided": 0.01, "guided": 0.05}
    lead |= {"guided_printed": -0.04, "random_guided": -0.1}
    rows = []
    for seed in range(seeds):
        for arm, ahead in lead.items():
            settings = [(None, None)]
            if arm == "unguided":
                settings = [(5, None), (20, None)]
            elif arm not in ("local", "fedavg_ft"):
                settings = [(steps, omega) for steps in (5, 20) for omega in (1.0, 0.0, 3.0)]
            for steps, omega in settings:
                scale = 1.0 if omega is None else (1 + omega) / 2
                for number in range(5):
                    level = 0.1 if number == 0 else 0.47 + 0.03 * number + ahead * scale
                    stages = {"trained": level + SPLIT[seed]}
                    if steps and 1 <= number <= 3:
                        stages["generated"] = level - 0.02 * steps / 5 + SPLIT[seed]
                    for stage, value in stages.items():
                        key = {
                            "experiment": "fashion_mnist-10",
                            "seed": seed,
                            "arm": arm,
                            "steps": steps,
                            "omega": omega,
                            "stage": stage,
                            "round": number,
                        }
                        rows += [key | {"client": c, "value": value} for c in (-1, 8, 9)]
    return pd.DataFrame(rows).astype({"steps": float, "omega": float})
