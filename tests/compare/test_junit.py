from xml.etree import ElementTree

import pytest

from openloop_cli.compare.check import Finding
from openloop_cli.compare.junit import junit_xml, write_junit
from openloop_cli.errors import OutputError

FINDINGS = [
    Finding("headline.image.skill", 0.8, "at least 0.5", True),
    Finding("a<b>&\"'", 3.0, "at most 1", False, "3.0 is above it & <worse>"),
    Finding("nul\x00 esc\x1b ]]> \ud800 \uffff \n", None, "at most 1", False, "undefined"),
]


def test_a_round_trip():
    root = ElementTree.fromstring(junit_xml("openloop check <m>", FINDINGS))
    assert root.tag == "testsuites"
    (suite,) = root
    for element in (root, suite):
        assert (element.get("tests"), element.get("failures")) == ("3", "2")
    assert suite.get("name") == "openloop check <m>"
    assert [case.get("name") for case in suite] == [
        "headline.image.skill", "a<b>&\"'", "nul\ufffd esc\ufffd ]]> \ufffd \ufffd \ufffd",
    ]  # fmt: skip
    good, bad, undefined = suite
    assert good.find("failure") is None
    failure = bad.find("failure")
    assert failure.get("message") == "3, expected at most 1"
    assert failure.text == "a<b>&\"' is 3, expected at most 1: 3.0 is above it & <worse>"
    assert undefined.find("failure").get("message") == "undefined, expected at most 1"


def test_endless_names_end():
    xml = junit_xml("t" * 100_000, [Finding("n" * 100_000, 1.0, "e", False, "r" * 100_000)])
    ElementTree.fromstring(xml)
    assert len(xml) < 20_000


def test_files(tmp_path):
    write_junit(tmp_path / "deep" / "j.xml", "t", FINDINGS)
    assert ElementTree.parse(tmp_path / "deep" / "j.xml").getroot().tag == "testsuites"
    with pytest.raises(OutputError):
        write_junit(tmp_path, "t", FINDINGS)
