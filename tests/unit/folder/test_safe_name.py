import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.folder.names import MAX_NAME, safe_name


@pytest.mark.parametrize(
    "name",
    [
        "S2A_MSIL1C_20200815T005251_N0209_R002_T55PCR_20200815T023440",
        "S1A_IW_GRDH_1SDV_20151105T174730_20151105T174755_008471_00BFA4_3C5A",
        "S1A_X.SAFE",
    ],
)
def test_safe_name_real_name_is_unchanged(name):
    assert name == safe_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../../etc/passwd",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "C:evil",
        "nul",
        "CON.zip",
        "a\0b",
        ".hidden",
        "x" * 300,
        "é",
    ],
)
def test_safe_name_hostile_name_stays_in_its_folder(name):
    safe = safe_name(name)

    assert re.fullmatch(r"[A-Za-z0-9_\-][A-Za-z0-9._\-]*", safe)
    assert len(safe) <= MAX_NAME
    assert safe != name


@given(st.text())
def test_safe_name_is_always_a_plain_file_name(name):
    safe = safe_name(name)

    assert 1 <= len(safe) <= MAX_NAME
    assert re.fullmatch(r"[A-Za-z0-9_\-][A-Za-z0-9._\-]*", safe)


@given(st.text(max_size=20), st.text(max_size=20))
def test_safe_name_two_names_never_meet(one, other):
    assert (one == other) == (safe_name(one) == safe_name(other))
