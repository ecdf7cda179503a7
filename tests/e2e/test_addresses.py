"""What is answered where nothing is served."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest


@pytest.mark.parametrize("path", ["healthz", "readyzz", "metricz", "page/two", "v2/status", "static/nothing.js"])
def test_an_address_that_nobody_serves_is_none(served, path):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{served.address}/{path}", timeout=30)
    with caught.value as answer:
        assert answer.code == 404
        if not path.startswith("static"):
            assert json.load(answer)["type"] == "/v1/problems/not-found"


def test_what_the_page_consists_of_is_served(served):
    for path in ("", "?q=a+dog", "favicon.png", "livez", "readyz", "v1/docs", "_stcore/health"):
        with urllib.request.urlopen(f"{served.address}/{path}", timeout=30) as answer:
            assert answer.status == 200, path
