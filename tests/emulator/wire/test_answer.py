"""Answers as JSON and as XML."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from kmskit.emulator import Cloud
from kmskit.emulator.wire.answer import write
from tests.emulator.signing import Line, v1

FIELDS = {"Keys": {"Key": [{"KeyId": "a"}, {"KeyId": "b"}]}, "Value": True, "TotalCount": 2, "None": []}


def test_a_list_is_elements_of_one_name() -> None:
    root = ElementTree.fromstring(write(FIELDS, "id", "XML", "KMS"))
    assert root.tag == "KMS"
    assert [each.text for each in root.iterfind("Keys/Key/KeyId")] == ["a", "b"]
    assert (root.findtext("Value"), root.findtext("TotalCount"), root.findtext("RequestId")) == ("true", "2", "id")


@given(st.text(st.characters(), max_size=50))
def test_any_text_can_be_told(text: str) -> None:
    ElementTree.fromstring(write({"A": text}, "id", "XML", "KMS"))
    told = json.loads(write({"A": text}, "id", "JSON", "KMS"))["A"]
    assert told == text.encode("utf-8", "replace").decode()


def test_v1_asks_for_xml(cloud: Cloud) -> None:
    with closing(Line(cloud)) as line:
        for action, root, status in (("DescribeRegions", "KMS", 200), ("DescribeKey", "Error", 400)):
            request = v1(cloud.ram.root, action, {"Format": "XML"})
            answer, told = line.exchange(request)
            assert (answer.status, answer.headers["content-type"]) == (status, "text/xml;charset=utf-8")
            assert ElementTree.fromstring(told).tag == root
