#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the tests of a run: summary.py RESULTS

RESULTS holds ctest.xml (JUnit, one case a program) and gtest/NAME.xml of the programs that are
GoogleTests. Each case of those counts by itself, any other program as one. The last line printed
is "N passed, N failed, N skipped". With ATOLL_CI set, a skipped test is a failure.
"""
import os
import sys
import xml.etree.ElementTree as xml


def count_gtest(path):
    """(passed, failed, skipped names) of one program."""
    passed, failed, skipped = 0, 0, []
    for case in xml.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None:
            failed += 1
        elif case.find("skipped") is not None or case.get("result") == "skipped":
            skipped.append(f"{case.get('classname')}.{case.get('name')}")
        elif case.get("status") == "run":
            passed += 1
    return passed, failed, skipped


def main():
    results = sys.argv[1]
    passed, failed, skipped = 0, 0, []
    for case in xml.parse(os.path.join(results, "ctest.xml")).getroot().iter("testcase"):
        name, status = case.get("name"), case.get("status")
        report = os.path.join(results, "gtest", name + ".xml")
        bad = status == "fail" or case.find("failure") is not None
        if os.path.exists(report):
            good, wrong, left_out = count_gtest(report)
            passed, skipped = passed + good, skipped + left_out
            # A program that crashed or hung has written less than it should.
            failed += max(wrong, 1 if bad else 0)
        elif bad:
            failed += 1
        elif status in ("notrun", "disabled") or case.find("skipped") is not None:
            skipped.append(name)
        else:
            passed += 1
    for name in skipped:
        print(f"skipped: {name}")
    strict = bool(os.environ.get("ATOLL_CI")) and skipped
    if strict:
        print("in CI nothing may be skipped")
    print(f"{passed} passed, {failed} failed, {len(skipped)} skipped")
    return 1 if failed or strict or passed == 0 else 0


sys.exit(main())
