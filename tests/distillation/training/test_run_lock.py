import pytest

from distillation.training.run_lock import sole_run


def test_a_second_run_is_refused_until_the_first_lets_its_folder_go(tmp_path):
    with (
        sole_run(tmp_path / "run", writes=True),
        pytest.raises(ValueError, match="another process trains in .*run; wait for it, or name another --output"),
        sole_run(tmp_path / "run", writes=True),
    ):
        pass
    with sole_run(tmp_path / "run", writes=True):
        pass


def test_a_run_that_fails_lets_its_folder_go(tmp_path):
    with pytest.raises(FloatingPointError), sole_run(tmp_path, writes=True):
        raise FloatingPointError
    with sole_run(tmp_path, writes=True):
        pass


def test_the_other_processes_of_a_run_share_its_folder(tmp_path):
    with sole_run(tmp_path / "run", writes=True), sole_run(tmp_path / "run", writes=False):
        assert (tmp_path / "run").is_dir()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ValueError, match="output: .*file/run cannot be made a folder"),
        sole_run(tmp_path / "file/run", True),
    ):
        pass
