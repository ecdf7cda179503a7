"""A reader whose native library dies on a file: it is tried three times, no other file is blamed, and reading goes on."""

from __future__ import annotations

import json
import signal

from tests.conftest import make_archive


def test_a_file_that_takes_a_reader_and_the_run_down_is_quarantined_after_three_attempts(preloaded, tmp_path):
    home, archive = tmp_path / "home", make_archive(tmp_path / "archive")
    assert preloaded.run("index", archive, home=home).code == 0
    assert preloaded.run("readers", "add", "fake", "--later", home=home).code == 0
    runs = [preloaded.run("index", archive, "--json", home=home, word="magenta") for _ in range(4)]
    assert [run.code for run in runs] == [-signal.SIGSEGV] * 3 + [0], runs[-1].err
    listed = json.loads(preloaded.run("readers", "list", "--json", home=home).out)["readers"][0]
    assert listed["assets"] == {"done": 10, "quarantined": 1}  # eight pictures and three tones
    told = json.loads(preloaded.run("failures", "--json", home=home).out)["failures"]
    assert [(one["reason"], one["path"].rpartition("/")[2]) for one in told] == [("killed", "magenta.png")]
    assert preloaded.run("verify", "--deep", home=home).code == 0
