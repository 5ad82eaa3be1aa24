import pytest

from policy_examples.explain.stores import open_store
from policy_examples.store import save_demonstrations


def test_a_store_is_opened_and_a_missing_one_says_how_to_make_it(demonstrations, tmp_path):
    path = tmp_path / "reach.zarr"
    with pytest.raises(ValueError, match=f"demos: there is no {path}; make it with `xdistill demos --task drawer-open"):
        open_store(path)
    save_demonstrations(demonstrations, path)
    assert open_store(path).episode_ends.tolist() == [12, 21]
