"""Relative orbits of real products, checked against what archives recorded for them."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.query.orbits import relative_orbit

S1C = "S1C_IW_GRDH_1SDV_20251217T230248_20251217T230317_005497_00AF3C_C5D6"
DECEMBER_2025 = datetime(2025, 12, 17, 23, 2, 48, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "platform", "orbit", "start", "expected"),
    [
        pytest.param(S1C, "S1C", 5497, DECEMBER_2025, 76, id="s1c-as-recorded"),
        pytest.param(S1C, None, None, None, 76, id="s1c-from-the-name"),
        pytest.param(S1C + "_COG", None, None, None, 76, id="s1c-from-a-longer-name"),
        pytest.param("x", "S1A", 53059, None, 137, id="s1a-as-recorded"),
        pytest.param("x", "s1a", 53059, None, 137, id="lower-case"),
        pytest.param("x", "S1D", 4762, None, 171, id="s1d-as-recorded"),
        pytest.param("x", "S1A", 73, None, 1, id="s1a-first"),
        pytest.param("x", "S1A", 72, None, 175, id="s1a-last"),
        pytest.param("x", "S1B", 27, None, 1, id="s1b-first"),
        pytest.param("x", "S1C", 172, datetime(2026, 6, 8, 23, 59, tzinfo=UTC), 1, id="s1c-before-the-change"),
        pytest.param("x", "S1C", 172, datetime(2026, 6, 9, tzinfo=UTC), None, id="s1c-during-the-change"),
        pytest.param("x", "S1C", 99, datetime(2026, 6, 24, tzinfo=UTC), 1, id="s1c-after-the-change"),
        pytest.param("x", "S1C", 172, None, None, id="s1c-without-a-time"),
        pytest.param("x", "S1Z", 172, DECEMBER_2025, None, id="unknown-satellite"),
        pytest.param("x", "S1A", None, None, None, id="nothing-known"),
        pytest.param(
            "S1A_OPER_AUX_PROQUA_POD__20210408T170200_V20140411T235944_20140412T235943",
            None,
            None,
            None,
            None,
            id="auxiliary-file",
        ),
        pytest.param(
            "S1C_IW_GRDH_1SDV_20251399T230248_20251217T230317_005497_00AF3C_C5D6",
            None,
            None,
            None,
            None,
            id="impossible-date",
        ),
        pytest.param(
            "S2A_MSIL1C_20250402T175741_N0511_R141_T14ULD_20250403T022035",
            "S2A",
            51075,
            None,
            141,
            id="s2-from-the-name",
        ),
        pytest.param(
            "S2A_OPER_PRD_MSIL1C_PDMC_20151206T145051_R051_V20151206T105135_20151206T105135",
            None,
            None,
            None,
            51,
            id="s2-old-name",
        ),
        pytest.param(
            "S2A_MSIL1C_20250402T175741_N0511_R999_T14ULD_20250403T022035", "S2A", None, None, None, id="s2-impossible"
        ),
        pytest.param("S2A", "S2A", 51075, None, None, id="s2-without-a-name"),
        pytest.param(
            "S3A_OL_1_EFR____20190101T092501_20190101T092801_20190102T133500_0179_039_264_2160_LN1_O_NT_002",
            None,
            None,
            None,
            264,
            id="s3-from-the-name",
        ),
        pytest.param("anything", None, 5, None, None, id="another-mission"),
        pytest.param("", None, None, None, None, id="no-name"),
    ],
)
def test_relative_orbit(name, platform, orbit, start, expected):
    assert relative_orbit(name, platform, orbit, start) == expected


@given(st.sampled_from(["S1A", "S1B", "S1D"]), st.integers(0, 10**6))
def test_sentinel1_orbits_repeat_after_175(satellite, orbit):
    actual = relative_orbit("", satellite, orbit, None)

    assert 1 <= actual <= 175
    assert relative_orbit("", satellite, orbit + 175, None) == actual


@given(st.text())
def test_any_name_is_survived(name):
    relative_orbit(name, None, None, None)


def test_no_geometry_library_is_loaded():
    code = (
        "import sys, pepsasync.query.criteria, pepsasync.query.select\n"
        "print([m for m in ('shapely', 'numpy', 'pyproj', 'geopandas', 'mgrs') if m in sys.modules])"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
