"""A check as JUnit XML, for systems that show test results: one test case for each number."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from openloop_cli.compare.check import Finding, number_text
from openloop_cli.storage.atomic import write_bytes
from openloop_cli.text import clean

_MOST = 2000


def write_junit(path: Path, title: str, findings: Sequence[Finding]) -> None:
    """Write the report, whole or not at all.

    Raises:
      OutputError: A place that cannot be written.
    """
    write_bytes(path, junit_xml(title, findings))


def junit_xml(title: str, findings: Sequence[Finding]) -> bytes:
    """Valid XML whatever the names hold: what XML cannot say is replaced."""
    failed = str(sum(not finding.passed for finding in findings))
    counts = {"tests": str(len(findings)), "failures": failed, "errors": "0", "skipped": "0"}
    root = ElementTree.Element("testsuites", {"name": "openloop check", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": clean(title, _MOST), **counts})
    for finding in findings:
        _add_case(suite, finding)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _add_case(suite: ElementTree.Element, finding: Finding) -> None:
    names = {"classname": "openloop.check", "name": clean(finding.name, _MOST), "time": "0"}
    case = ElementTree.SubElement(suite, "testcase", names)
    value = number_text(finding.value)
    told = clean(f"{value}, expected {finding.expected}", _MOST)
    if finding.passed:
        ElementTree.SubElement(case, "system-out").text = told
        return
    failure = ElementTree.SubElement(case, "failure", {"message": told, "type": "threshold"})
    failure.text = clean(f"{finding.name} is {told}: {finding.reason}", _MOST)
