import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from policy_examples import benchmark
from policy_examples.benchmarking.launchers import Job
from policy_examples.benchmarking.ray_launcher import connected, run_on_ray, share_of_gpus
from policy_examples.benchmarking.results import read_rows

pytestmark = pytest.mark.filterwarnings("ignore:.*RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO:FutureWarning")


def test_without_ray_the_launcher_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="launcher: 'ray' needs the package ray; pip install ray, or choose 'local'"):
        next(run_on_ray([], 1, 0, tmp_path / "stop", lambda: False))


def test_a_run_takes_a_gpu_where_the_cluster_has_some():
    plain, with_gpus = {"CPU": 4.0}, {"CPU": 64.0, "GPU": 8.0}
    assert share_of_gpus(None, [plain]) == 0
    assert share_of_gpus(None, [plain, with_gpus]) == 1
    assert share_of_gpus(0.25, [with_gpus]) == 0.25
    assert share_of_gpus(0, [plain]) == 0


def test_runs_that_would_all_take_the_first_gpu_are_refused():
    with pytest.raises(ValueError, match="ray_gpus: expected a share above 0, such as 1 or 0.25, because the cluster"):
        share_of_gpus(0, [{"CPU": 64.0, "GPU": 8.0}])


def test_sigterm_stays_with_the_caller_when_ray_cannot_start(monkeypatch, tmp_path):
    if find_spec("ray") is None and not os.environ.get("XDISTILL_NO_SKIPS"):
        pytest.skip("the package ray is not installed")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("long" * 30)))  # its sockets allow a path of 107 bytes
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(OSError, match="path length"), connected():
        pass
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.fixture(scope="module")
def handler():
    """Of SIGTERM, before Ray is there."""
    return signal.getsignal(signal.SIGTERM)


@pytest.fixture(scope="module")
def ray(handler):
    """A cluster of this machine; no pytest folder for its files, because its sockets allow a path of 107 bytes."""
    if find_spec("ray") is None and not os.environ.get("XDISTILL_NO_SKIPS"):
        pytest.skip("the package ray is not installed")
    with TemporaryDirectory(prefix="ray-") as folder, pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_TMPDIR", folder)
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        with connected() as ray:
            yield ray


def test_sigterm_stays_with_the_caller(ray, handler):
    assert signal.getsignal(signal.SIGTERM) == handler


def test_jobs_run_on_a_cluster_of_this_machine(ray, tmp_path):
    program = "import sys; print('job', sys.argv[1]); sys.exit(int(sys.argv[1]))"
    jobs = [Job(f"{i}", (sys.executable, "-c", program, f"{i}"), tmp_path / f"{i}/log") for i in range(2)]
    ended = list(run_on_ray(jobs, 1, 0, tmp_path / "stop", lambda: False))
    assert {each.name: each.status for each in ended} == {"0": 0, "1": 1}
    assert (tmp_path / "1/log").read_text() == "job 1\n"


def test_a_benchmark_runs_on_a_cluster(ray, rendering, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = benchmark.Config(
        tasks=("drawer-close",), encoders=("blind",), seeds=(0,), preset="smoke", output=Path("runs"), launcher="ray"
    )
    outcome = benchmark.run_benchmark(config)
    assert (outcome.runs, outcome.finished, outcome.failed) == (1, 1, [])
    (row,) = read_rows(tmp_path / "runs/results.csv")
    assert (row.task, row.encoder, row.steps) == ("drawer-close", "blind", 2)


def test_stopping_reaches_every_machine_and_what_waits_never_starts(ray, tmp_path):
    program = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    jobs = [
        Job(f"{i}", (sys.executable, "-c", program, f"{tmp_path}/began{i}"), tmp_path / f"{i}/log") for i in range(3)
    ]
    cores = ray.cluster_resources()["CPU"]  # of all, so that one job runs at a time
    ended = list(run_on_ray(jobs, cores, 0, tmp_path / "stop", lambda: any(tmp_path.glob("began*"))))
    assert [each.status for each in ended] == [-15]
    assert len(list(tmp_path.glob("began*"))) == 1
    assert not (tmp_path / "stop").exists()


def test_what_no_machine_offers_is_refused(ray, tmp_path):
    with pytest.raises(ValueError, match=r"a machine with 1 CPUs and 99 GPUs for a run, the cluster has .* CPUs"):
        next(run_on_ray([], 1, 99, tmp_path / "stop", lambda: False))
