"""Nodes of the CDSE: what the archive lists of a product's folders."""

import pytest

from pepsasync.errors import ProtocolError
from pepsasync.providers.cdse.reply import parse_nodes


def node(**changes):
    return {"Id": "a", "Name": "a.xml", "ContentLength": 7, "ChildrenNumber": 0} | changes


def test_files_and_folders():
    reply = {"result": [node(), node(Name="IMG_DATA", ContentLength=0, ChildrenNumber=3), node(ContentLength=0)]}

    assert [("a.xml", 7, False), ("IMG_DATA", 0, True), ("a.xml", 0, False)] == list(parse_nodes(reply))


@pytest.mark.parametrize("reply", [None, {}, {"result": None}, {"result": []}])
def test_nothing(reply):
    assert [] == list(parse_nodes(reply))


@pytest.mark.parametrize(
    "changes",
    [
        {"Name": None},
        {"Name": ""},
        {"Name": ".."},
        {"Name": "a/b"},
        {"Name": "a)/Nodes(b"},
        {"ContentLength": None},
        {"ContentLength": -1},
        {"ContentLength": "many"},
    ],
)
def test_what_no_file_is_called_or_long_is_refused(changes):
    with pytest.raises(ProtocolError):
        list(parse_nodes({"result": [node(**changes)]}))


def test_what_is_no_object_is_refused():
    with pytest.raises(ProtocolError):
        list(parse_nodes({"result": ["a.xml"]}))
