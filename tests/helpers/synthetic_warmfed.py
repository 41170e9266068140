"""Made-up runs of WarmFed and its field, whose means and intervals can be worked out by hand.

A seed shifts every accuracy by a point (``SPLIT``); beyond that only WarmFed's own vary, by ``JITTER``.
So a difference to WarmFed has the interval of ``JITTER``: t(0.975, 2) · 0.002 / √3. From round to round
an accuracy rises by ``STEP``; domains lie ``APART`` from each other.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from fedgenbench.report.results import Picture, Results

SPLIT = (-0.01, 0.0, 0.01)
JITTER = (0.002, 0.0, -0.002)
ROUNDS, STEP, APART = 5, 0.02, 0.02
DOMAINS = ["blob", "fluent", "noto", "openmoji", "tossface", "twemoji"]
CLASSES = 10

_SHARED = {
    "dataset": "EmojiDomains",
    "classes": CLASSES,
    "clients": 6,
    "partition": "a domain per client",
    "rounds": ROUNDS,
    "local": "1 epoch, SGD 0.01, batch 32",
    "model": "resnet8",
    "note": "",
}
EXPERIMENTS = (
    {
        "emoji_domains": _SHARED
        | {
            "title": "EmojiDomains, 6 clients",
            "role": "main",
            "warmfed": True,
            "base": "emoji_domains",
        },
        "emoji_domains-60": _SHARED
        | {
            "title": "EmojiDomains, 60 clients",
            "clients": 60,
            "role": "scale",
            "base": "emoji_domains",
        },
    }
    | {
        f"emoji_domains-without-{name}": _SHARED
        | {
            "title": f"EmojiDomains without {name}",
            "clients": 5,
            "role": "left_out",
            "base": "emoji_domains",
            "left_out": name,
        }
        for name in DOMAINS
    }
    | {
        "emoji_domains-subset": _SHARED
        | {
            "title": "EmojiDomains, validation",
            "role": "tuning",
            "base": "emoji_domains-subset",
        },
    }
)
ABSENT = {
    "office_caltech10": {"title": "Office-Caltech10, 4 clients", "clients": 4},
    "domainnet": {"title": "DomainNet, 6 clients", "clients": 6},
    "domainnet-60": {"title": "DomainNet, 60 clients", "clients": 60, "role": "scale"},
    "camelyon17": {"title": "Camelyon17, 5 clients", "clients": 5},
}
ABSENT = {
    name: {"role": "main", "warmfed": True, "reason": "no data", "leave_one_out": True}
    | entry
    | {"dataset": entry["title"].split(",")[0]}
    for name, entry in ABSENT.items()
}
for name in ("domainnet-60", "camelyon17"):
    ABSENT[name]["leave_one_out"] = False
# Of another paper: no concern of WarmFed's.
ABSENT["emnist-10"] = {
    "title": "EMNIST, 10 clients",
    "dataset": "EMNIST",
    "clients": 10,
    "reason": "no data",
}
# id -> label, family, final global and personal accuracy, MB up in a round
_METHODS = {
    "local": ("Local only", "control", None, 0.50, 0.0),
    "centralised": ("Centralised", "control", 0.70, 0.70, 0.0),
    "fedavg": ("FedAvg", "global", 0.50, 0.50, 0.3),
    "fedprox": ("FedProx", "global", 0.51, 0.51, 0.3),
    "fedbn": ("FedBN", "global", 0.48, 0.52, 0.29),
    "moon": ("MOON", "global", 0.49, 0.49, 0.3),
    "fgl": ("FGL", "global", 0.56, 0.56, 0.3),
    "fedavg_ft": ("FedAvg + FT", "personalised", 0.50, 0.58, 0.3),
    "ditto": ("Ditto", "personalised", 0.50, 0.57, 0.3),
    "fedrep": ("FedRep", "personalised", None, 0.56, 0.25),
    "pfedsd": ("pFedSD", "personalised", 0.50, 0.60, 0.3),
    "warmfed": ("WarmFed", "personalised", 0.64, 0.68, 0.3),
}
_WARM = ("fedavg", "fedprox", "fedbn", "moon", "fedavg_ft", "ditto", "fedrep", "pfedsd")
_VARIANTS = {
    **{
        f"{name}_warm": (
            f"{_METHODS[name][0]}, warm start",
            name,
            "warm",
            None if _METHODS[name][2] is None else _METHODS[name][2] + 0.1,
            _METHODS[name][3] + 0.05,
        )
        for name in _WARM
    },
    "warmfed_scratch": ("no warm start", "warmfed", "scratch", 0.55, 0.60),
    "warmfed_server_pre": ("fine-tunes uploads", "warmfed", None, 0.63, 0.67),
    "warmfed_after_only": ("fine-tunes the aggregate", "warmfed", None, 0.62, 0.66),
    "warmfed_before_only": ("fine-tunes at clients", "warmfed", None, 0.61, 0.66),
    "warmfed_plain": ("no teacher", "warmfed", None, 0.64, 0.65),
    "warmfed_previous": ("self-distillation", "warmfed", None, 0.64, 0.67),
    "warmfed_mean": ("mean teacher", "warmfed", None, 0.64, 0.66),
    "warmfed_tau_cold": ("τ = 0.1", "warmfed", None, 0.64, 0.63),
}
# Rows that choose a share of the synthetic images: label, method, accuracy.
SUBSETS = {
    "fgl_subset_10": ("FGL, 10 %", "fgl", 0.40),
    "fgl_subset_100": ("FGL, 100 %", "fgl", 0.38),
    "warmfed_subset_100": ("WarmFed, 100 %", "warmfed", 0.41),
}
_VARIANTS |= {n: (label, of, None, level, level) for n, (label, of, level) in SUBSETS.items()}
METHODS = {
    name: {"label": label, "family": family, "source": "made up"}
    for name, (label, family, *_) in _METHODS.items()
} | {
    name: {"label": label, "family": "variant", "source": "made up", "of": of, "start": start}
    for name, (label, of, start, *_) in _VARIANTS.items()
}
FINAL = {name: entry[2:4] for name, entry in _METHODS.items()}
FINAL |= {name: entry[3:5] for name, entry in _VARIANTS.items()}
SCALED = ("fedavg", "fgl", "warmfed")
LEFT_OUT = ("fedavg", "fgl", "warmfed_plain")
# Wobble of the personal models from round to round around their rise; zero in the last round.
WOBBLE = {"warmfed": 0.002, "warmfed_previous": 0.01}
PATTERN = (1.0, -1.0, 1.0, -1.0, 0.0)
ONCE = 0.116  # MB: an adapter and its prompts


def is_warm(method: str) -> bool:
    """Whether the method has a model before round 1."""
    start = METHODS[method].get("start")
    own = METHODS[method].get("of", method)
    return start == "warm" or (start != "scratch" and own in ("warmfed", "fgl"))


def results(seeds: int = 3, collapsed: bool = False, **changes: Any) -> Results:
    """A grid with every frame; ``collapsed``: DSD's mask takes one side in client 0's last round."""
    scores, rounds, runs, server = [], [], [], []
    for experiment, entry in EXPERIMENTS.items():
        main = [name for name in METHODS if name not in SUBSETS]
        methods = {"main": main, "scale": SCALED, "left_out": LEFT_OUT, "tuning": SUBSETS}
        methods = methods[entry["role"]]
        domains = [d for d in DOMAINS if d != entry.get("left_out")]
        if entry["role"] == "scale":
            domains = [d for d in DOMAINS for _ in range(10)]
        for method in methods:
            for seed in range(seeds):
                key = {"experiment": experiment, "method": method, "seed": seed}
                lead = entry["role"] == "left_out" and method == "warmfed_plain"
                jitter = JITTER[seed] if lead or method == "warmfed" else 0.0
                for metric, final in zip(("global", "personal"), FINAL[method], strict=True):
                    if final is None:
                        continue
                    level = final + SPLIT[seed] + jitter
                    if entry["role"] == "left_out":  # unseen: lower, the later in the list the more
                        level -= 0.1 + 0.01 * DOMAINS.index(entry["left_out"])
                    first = (
                        0 if is_warm(method) and (metric == "global" or method == "warmfed") else 1
                    )
                    for number in range(first, ROUNDS + 1):
                        value = level - STEP * (ROUNDS - number)
                        if metric == "personal" and number:
                            value += WOBBLE.get(method, 0.0) * PATTERN[number - 1]
                        base = key | {"metric": metric, "round": number}
                        rounds += _by_client(base, value, domains)
                    scores += _by_client(key | {"metric": metric}, level, domains)
                if method in ("warmfed", "warmfed_tau_cold"):
                    server += _server(key, len(domains), collapsed)
                runs.append(key | _run(key, entry["clients"]))
    runs = pd.DataFrame(runs)
    inputs = {
        "scores": pd.DataFrame(scores),
        "rounds": pd.DataFrame(rounds),
        "runs": runs,
        "server": pd.DataFrame(server),
        "synthesis": _synthesis(seeds),
        "experiments": EXPERIMENTS,
        "methods": METHODS,
        "expected": {(r.experiment, r.method, r.seed): r.digest for r in runs.itertuples()},
        "absent": ABSENT,
    }
    return Results(**(inputs | changes))


def _by_client(base: dict, mean: float, domains: list[str]) -> list[dict]:
    """The mean (client -1), and the clients, domains ``APART`` around it."""
    places = [DOMAINS.index(name) for name in domains]
    centre = sum(places) / len(places)
    rows = [base | {"client": -1, "domain": None, "value": mean}]
    return rows + [
        base | {"client": c, "domain": name, "value": mean + APART * (place - centre)}
        for c, (name, place) in enumerate(zip(domains, places, strict=True))
    ]


def _server(key: dict, clients: int, collapsed: bool) -> list[dict]:
    """One teacher in round 1, two from round 2 on."""
    rows = []
    for number in range(1, ROUNDS + 1):
        for client in range(clients):
            found = {"distillation_loss": 0.3 / number + 0.01 * client}
            found |= {"samples": 100.0 + 10 * client}
            found["pool_bytes"] = found["samples"] * 4 * CLASSES * min(number, 2)
            if number > 1:
                share = 0.3 + 0.04 * (client % 6)
                one_side = collapsed and client == 0 and number == ROUNDS
                share = 0.999 if one_side else share
                entropy = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
                found |= {"selection_share": share, "mask_entropy": entropy}
                found |= {"tau": max(0.5, 0.8 ** (number - 1)), "selection_loss": 1.0 / number}
                found["collapsed"] = float(one_side)
            rows += [
                key | {"round": number, "name": name, "client": client, "value": float(value)}
                for name, value in found.items()
            ]
    return rows


def _run(key: dict, clients: int) -> dict:
    method = METHODS[key["method"]].get("of", key["method"])
    megabytes = _METHODS[method][4]
    adapters = (is_warm(key["method"]) and method != "fgl") or key["method"] == "warmfed_scratch"
    downloads = method == "warmfed"
    return {
        "digest": hashlib.sha256(repr(key).encode()).hexdigest()[:10],
        "scale": "embedded",
        "rounds": ROUNDS,
        "engine": "sequential",
        "device": "cpu",
        "hardware": "2 × x86-64 core",
        "wall_seconds": 60.0,
        "peak_memory_bytes": 1.2e9,
        "bytes_up": megabytes * 1e6,
        "bytes_down": megabytes * 1e6,
        "bytes_up_once": ONCE * 1e6 if adapters else 0.0,
        # What clients fine-tune on grows with the number of clients.
        "bytes_down_once": 0.1e6 * clients if downloads else 0.0,
        "torch": "2.13.0",
        "git_revision": "fbac10a" + "0" * 33,
        "git_dirty": False,
        "started": "2026-01-02T03:04:05+00:00",
    }


def _synthesis(seeds: int) -> pd.DataFrame:
    rows = []
    for seed in range(seeds):
        base = {"experiment": "emoji_domains", "seed": seed}
        for client in range(6):
            made = {
                "adapter": {
                    "images": 100 + 10 * client,
                    "parameters": 43008,
                    "adapter_bytes": 86016,
                    "embedding_bytes": 30720,
                    "wall_seconds": 60 + client,
                    "first_loss": 0.4,
                    "last_loss": 0.2,
                    "classes": CLASSES,
                },
                "images": {"images": 200, "seconds_per_image": 0.2, "wall_seconds": 41.0},
                "duplication": {
                    "copied_any": 0.05,
                    "copied_own": 0.04,
                    "prompts_copied_any": 0.03,
                    "prompts_copied_own": 0.02,
                    "held_out_copied_any": 0.05,
                    "distance_any": 0.21,
                    "distance_own": 0.25,
                    "held_out_any": 0.2,
                    "held_out_own": 0.24,
                    "prompts_distance_any": 0.26,
                    "prompts_distance_own": 0.3,
                },
                "likeness": {
                    "own": 2.0 + client,
                    "others": 9.0,
                    "prompts": 12.0,
                    "held_out": 0.1,
                    "rank": 1 + client % 2,
                }
                | {f"real:{name}": 3.0 + abs(client - d) for d, name in enumerate(DOMAINS)},
                "style": {"own": 0.7, "held_out": 0.95, "prompts": 0.2},
                "membership": {
                    "auc": 0.55,
                    "auc_standard_error": 0.03,
                    "tpr_at_5_fpr": 0.07,
                    "drop_members": 0.02,
                    "drop_non_members": 0.018,
                    "members": 100,
                    "non_members": 30,
                    "auc_base": 0.5,
                    "auc_other": 0.51,
                },
            }
            for kind, numbers in made.items():
                rows += [
                    base | {"kind": kind, "client": client, "name": name, "value": float(value)}
                    for name, value in numbers.items()
                ]
        alone = {"prompts": {"images": 400, "seconds_per_image": 0.2, "wall_seconds": 80.0}}
        alone["likeness"] = {"classifier": 0.9}
        for kind in ("warm_adapters", "warm_prompts"):
            alone[kind] = {
                "images": 1200,
                "wall_seconds": 33.0,
                "first_loss": 2.3,
                "last_loss": 0.4,
            }
        if not seed:
            rows += _trials(base)
        rows += [
            base | {"kind": kind, "client": -1, "name": name, "value": float(value)}
            for kind, numbers in alone.items()
            for name, value in numbers.items()
        ]
    return pd.DataFrame(rows)


def _trials(base: dict[str, Any]) -> list[dict[str, Any]]:
    """Of client 2: ranks 1 and 4, one that knows its images, and none."""
    judged = {"images": 100.0, "auc_standard_error": 0.05, "tpr_at_5_fpr": 0.1}
    near = {"distance": 0.2, "copied": 0.1}
    tried = {
        "rank_1": judged | {"bytes": 21504.0, "fall_seen": 0.02, "fall_held_out": 0.01, "auc": 0.5},
        "rank_4": judged
        | near
        | {"bytes": 86016.0, "fall_seen": 0.06, "fall_held_out": 0.04, "auc": 0.54},
        "memorised": judged
        | {"images": 10.0, "bytes": 344064.0, "distance": 0.05, "copied": 0.9}
        | {"fall_seen": 0.5, "fall_held_out": -0.2, "auc": 0.99},
        "base": near,
    }
    return [
        base | {"kind": row, "client": 2, "name": name, "value": value}
        for row, values in tried.items()
        for name, value in values.items()
    ]


def pictures(folder: Path) -> list[Picture]:
    """Stand-ins for what the examination leaves: two sheets of images and an embedding."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    kinds = [("real", c, d) for c, d in enumerate(DOMAINS)]
    kinds += [("adapter", c, d) for c, d in enumerate(DOMAINS)] + [("prompt", -1, "template 0")]
    rows = [{"kind": kind, "client": c, "name": name} for kind, c, name in kinds]
    pairs = [
        {"kind": kind, "client": c, "distances": [0.1] * 6, "owners": [0] * 6}
        for kind, c, _ in kinds[6:]
    ]
    sheets = {
        "grid": (len(rows), CLASSES, {"rows": rows, "columns": [f"class {c}" for c in range(10)]}),
        "duplicates": (len(pairs), 12, pairs),
    }
    drawn = []
    for name, (high, wide, says) in sheets.items():
        tints = rng.integers(80, 255, (high, wide, 3), dtype=np.uint8)
        path = folder / f"{name}.png"
        Image.fromarray(tints.repeat(64, axis=0).repeat(64, axis=1)).save(path)
        drawn.append(Picture("emoji_domains", 0, name, str(path), says))
    points = []
    for kind, client, _ in kinds:
        centre = np.array([3.0 * client, {"real": 0.0, "adapter": 2.0, "prompt": 8.0}[kind]])
        points += [
            {"kind": kind, "client": client, "label": n % CLASSES, "x": x, "y": y}
            for n, (x, y) in enumerate(rng.normal(centre, 1.5, (40, 2)))
        ]
    pd.DataFrame(points).to_parquet(folder / "tsne.parquet", index=False)
    path = str(folder / "tsne.parquet")
    return [*drawn, Picture("emoji_domains", 0, "embedding", path, None)]
