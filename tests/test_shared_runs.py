"""What several workers need is made by one of them, and begun again where that one failed."""

import pytest

from shared_runs import copy_of_one, made_once


def test_a_failed_attempt_is_begun_again_and_a_whole_one_is_kept(tmp_path_factory):
    made = []

    def make(path):
        assert not path.exists()
        path.mkdir()
        made.append(path)
        if len(made) == 1:
            raise RuntimeError("the first attempt")
        (path / "number").write_text(str(len(made)))

    with pytest.raises(RuntimeError, match="the first attempt"):
        made_once(tmp_path_factory, "attempts", make)
    places = [made_once(tmp_path_factory, "attempts", make) for _ in range(2)]
    assert places == made
    copy = copy_of_one(tmp_path_factory, "attempts", make)
    (copy / "number").write_text("changed")
    assert len(made) == 2
    assert (places[0] / "number").read_text() == "2"
