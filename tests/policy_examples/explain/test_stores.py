from dataclasses import replace

import pytest

from policy_examples.explain.stores import open_store, require_all_arrays
from policy_examples.store import save_demonstrations


def test_a_store_is_opened_and_a_missing_one_says_how_to_make_it(demonstrations, tmp_path):
    path = tmp_path / "reach.zarr"
    with pytest.raises(ValueError, match=f"demos: there is no {path}; make it with `xdistill demos --task TASK"):
        open_store(path)
    save_demonstrations(demonstrations, path)
    assert open_store(path).episode_ends.tolist() == [12, 21]


def test_demonstrations_of_chosen_arrays_cannot_be_played_again(demonstrations):
    require_all_arrays(demonstrations, "reach", "add --no-masks")
    chosen = replace(demonstrations, origin={**demonstrations.origin, "selection": {"state": ["state[:3]"]}})
    with pytest.raises(
        ValueError, match=r"of reach arrays were chosen \(state \['state\[:3\]'\]\), .*; add --no-masks"
    ):
        require_all_arrays(chosen, "reach", "add --no-masks")
