"""Runs every test of a fault, slow ones too, and says how many there are and how they ended.

python tools/fault_matrix.py [FAULT ...]    (names are those of FAULTS; an hour on two cores for all)
"""

import re
import subprocess
import sys

from tabulate import tabulate

# Fault -> tests, as pytest takes them.
FAULTS = {
    "SIGKILL at a random moment": ["tests/core/test_kill.py"],
    "a kill at each step of a job": [
        "tests/federated/test_conformance.py::test_a_killed_run_resumes_to_the_bits_of_an_unbroken_one",
        "tests/federated/test_rounds.py::test_a_killed_run_resumes_to_the_same_bits",
        "tests/images/test_lora.py::test_a_killed_tuning_resumes_to_the_same_bits",
        "tests/systems/warmfed/test_images.py"
        "::test_a_killed_job_resumes_to_the_same_bits_and_draws_nothing_twice",
        "tests/systems/fedlmg/test_generation.py::test_a_killed_training_goes_on_to_the_same_bits",
        "tests/systems/fedlmg/test_generation.py::test_a_killed_job_draws_at_most_one_batch_again",
        "tests/systems/fedlmg/test_dense.py::test_a_resumed_run_equals_an_unbroken_one",
        "tests/systems/fedlmg/test_fgl.py::test_a_killed_job_goes_on_to_the_same_bits",
        "tests/systems/fedlmg/test_feddisc.py::test_a_killed_job_resumes_to_the_same_bits",
        "tests/systems/fedlmg/test_feddeo.py::test_a_killed_job_goes_on_to_the_same_bits",
        "tests/systems/fedlmg/test_multiround.py::test_a_killed_job_goes_on_to_the_same_bits",
        "tests/systems/pfedgpa/test_newcomers.py::test_it_repeats_and_picks_up_where_it_was_killed",
        "tests/systems/foundation/test_training.py::test_a_killed_autoencoder_resumes_to_the_same_bits",
        "tests/systems/foundation/test_training.py::test_a_killed_unet_resumes_to_the_same_bits",
        "tests/systems/foundation/test_unclip.py::test_a_killed_training_resumes_to_the_same_bits",
    ],
    "Snakemake itself killed": [
        "tests/workflow/test_workflow.py::test_a_killed_run_resumes_from_its_checkpoint",
        "tests/core/test_start.py::test_the_lock_of_a_killed_run_goes_and_snakemake_starts",
    ],
    "a job of SLURM killed, its controller restarted": [
        "tests/workflow/test_slurm.py::test_a_killed_job_and_a_restarted_controller_change_no_byte",
    ],
    "SIGTERM with a grace time": ["tests/core/test_termination.py"],
    "a full disk": [
        "tests/core/test_faults.py::test_a_full_disk_keeps_the_last_checkpoint_and_takes_the_next",
        "tests/core/test_files.py::test_a_full_disk_names_the_file_and_loses_nothing",
        "tests/commands/test_forkserver.py::test_a_full_disk_is_a_failure",
    ],
    "read-only results": [
        "tests/core/test_faults.py::test_read_only_results_are_named_and_can_be_read",
        "tests/core/test_files.py::test_a_folder_that_takes_no_file_is_named",
    ],
    "a damaged checkpoint": [
        "tests/core/test_checkpoint.py",
        "tests/federated/test_rounds.py::test_a_damaged_checkpoint_falls_back_to_the_round_before_it",
        "tests/systems/warmfed/test_images.py::test_a_damaged_shard_is_drawn_anew_and_told",
        "tests/systems/fedlmg/test_dense.py::test_a_damaged_turn_is_made_anew",
    ],
    "two workflows in one folder": [
        "tests/workflow/test_workflow.py::test_two_runs_at_once_in_one_folder_are_refused",
        "tests/core/test_start.py::test_two_starts_at_once_are_one",
    ],
    "a clock that jumps": [
        "tests/core/test_faults.py::test_a_clock_that_jumps_changes_no_duration",
        "tests/workflow/test_workflow.py::test_a_change_is_seen_without_records_and_with_favourable_times",
        "tests/workflow/test_workflow.py::test_touch_cures_scrambled_times_and_hides_nothing",
    ],
}


def outcome(tests: list[str]) -> dict[str, int]:
    """Numbers of tests that passed, failed and were skipped, by pytest's words."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-o",
        "addopts=--import-mode=importlib",
        *tests,
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|error)", said)}
    if not counts:
        sys.exit(said)
    return counts


def main(asked: list[str]) -> None:
    if unknown := set(asked) - FAULTS.keys():
        sys.exit(f"no fault is called {', '.join(sorted(unknown))}; there are: {'; '.join(FAULTS)}")
    rows, failed = [], 0
    for fault in asked or FAULTS:
        counts = outcome(FAULTS[fault])
        wrong = counts.get("failed", 0) + counts.get("error", 0)
        failed += wrong
        rows.append([fault, counts.get("passed", 0), wrong, counts.get("skipped", 0)])
        print(f"{fault}: {rows[-1][1:]}", file=sys.stderr, flush=True)
    print(tabulate(rows, headers=["fault", "passed", "failed", "skipped"], tablefmt="github"))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main(sys.argv[1:])
