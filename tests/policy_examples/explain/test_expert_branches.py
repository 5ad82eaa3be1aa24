import importlib.util
import sys

import pytest

from policy_examples.explain.expert_branches import BranchTrace

EXPERT = """
class Expert:
    def get_action(self, height, near=True, held=False):
        return self._desired_pos(height, near, held)

    @staticmethod
    def _desired_pos(height, near, held):
        if (
            not near
            or held
        ):
            return "aside"
        if height > 2:
            return "above"
        elif height > 1:
            if near and height > 1.5:
                height += 0
            else:
                height -= 0
            return "down"
        return "pull"
"""


@pytest.fixture
def expert(tmp_path):
    """An expert in a folder that is called as MetaWorld's."""
    path = tmp_path / "metaworld" / "policies" / "made_up_policy.py"
    path.parent.mkdir(parents=True)
    path.write_text(EXPERT)
    spec = importlib.util.spec_from_file_location("made_up_policy", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Expert()


def branch(expert, *arguments) -> str:
    with BranchTrace() as trace:
        expert.get_action(*arguments)
    return trace.branch


def test_each_way_through_the_expert_is_a_branch(expert):
    found = [branch(expert, height) for height in (3, 1.8, 1.2, 0.5)]
    assert len(set(found)) == 4
    assert found[0] == 'made_up_policy.py:14 return "above"'
    assert found[3] == "after every condition"
    assert found == [branch(expert, height) for height in (2.5, 1.6, 1.1, 0)]


def test_how_a_condition_came_to_hold_is_no_branch(expert):
    assert branch(expert, 1, False, False) == branch(expert, 1, True, True) == 'made_up_policy.py:12 return "aside"'


def test_a_tracer_that_was_there_before_comes_back(expert):
    before = sys.gettrace()
    with pytest.raises(TypeError), BranchTrace():
        expert.get_action()
    assert sys.gettrace() is before
