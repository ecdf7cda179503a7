"""The archive for language models: tools that read, and errors that teach."""

from __future__ import annotations

import json

import anyio
import pytest

from search.errors import ServiceAway


@pytest.fixture
def call(still):
    """Calls tools as a client does, in this process; the tools ask the service over its small archive."""
    mcp = pytest.importorskip("mcp")
    from search.api import calls
    from ui.mcp_server import build

    class Local:
        """The client's methods, whose calls reach the service in this process."""

        def __getattr__(self, name):
            def ask(*args, **options):
                made = getattr(calls, name)(*args, **options)
                answer = still.request(made.method, f"/v1{made.path}", params=dict(made.params), json=made.json)
                if answer.is_error:
                    raise calls.trouble(answer)
                return made.parse(answer)

            return ask

    def go(name=None, client=None, **arguments):
        async def talk():
            async with mcp.Client(build(client or Local())) as talking:
                return await (talking.call_tool(name, arguments) if name else talking.list_tools())

        return anyio.run(talk)

    return go


def test_few_tools_are_told_and_all_of_them_only_read(call):
    tools = {one.name: one for one in call().tools}
    assert set(tools) == {"search_media", "plan_search", "get_moment", "get_asset", "list_collections", "what_is_searchable"}
    assert all(one.annotations.read_only_hint and one.description for one in tools.values())
    assert tools["search_media"].input_schema["required"] == ["query"]


def test_what_was_found_leads_on_to_its_moment_and_its_file(call):
    found = call("search_media", query="red", media=["image"], limit=1, pictures=True)
    (hit,) = json.loads(found.content[0].text)["hits"]
    assert (hit["name"], hit["medium"]) == ("red.png", "image")
    assert found.content[1].mime_type == "image/jpeg"
    assert json.loads(call("get_moment", segment=hit["segment"]).content[0].text)["asset"]["name"] == "red.png"
    assert json.loads(call("get_asset", asset=hit["asset"]).content[0].text)["locations"][0]["folder"] == "pictures"
    assert json.loads(call("list_collections").content[0].text)["collections"][0]["files"]["image"] == 8
    assert json.loads(call("what_is_searchable").content[0].text)["files_by_medium"]["audio"] == 3


def test_a_question_of_several_parts_is_planned_and_its_steps_can_be_sent_again(call):
    found = json.loads(call("plan_search", question="red without flowers", limit=3).content[0].text)
    assert [(one["skill"], one["state"]) for one in found["steps"]] == [("words", "taken"), ("without", "taken")]
    assert found["hits"][0]["name"] == "red.png"
    edited = [{name: one[name] for name in ("skill", "form", "useful", "part")} for one in found["steps"]]
    edited[0]["form"] = "blue in:image"
    again = json.loads(call("plan_search", question="edited", steps=edited, skip=[2], limit=1).content[0].text)
    assert (again["hits"][0]["name"], again["steps"][1]["state"]) == ("blue.png", "skipped")


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("get_asset", {"asset": 10**6}, "Take the id from a list or a search"),
        ("search_media", {"query": "red", "collections": ["defualt"]}, "Did you mean default?"),
        ("search_media", {"query": "red", "since": "yesterday"}, "since"),
        ("plan_search", {"question": "red", "skip": [9]}, "numbered 1 to 1"),
        ("plan_search", {"question": "red", "steps": [{"skill": "words", "form": "red >"}]}, "something to look for is missing"),
    ],
)
def test_an_error_says_what_to_do(call, tool, arguments, told):
    answer = call(tool, **arguments)
    assert answer.is_error
    assert told in answer.content[0].text


def test_a_service_that_is_away_is_told(call):
    class Away:
        def __getattr__(self, _):
            raise ServiceAway("The service does not answer.", remedy="Start it with `sensorium serve`, or check the address.")

    answer = call("what_is_searchable", client=Away())
    assert answer.is_error
    assert "sensorium serve" in answer.content[0].text
