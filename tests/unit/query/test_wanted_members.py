"""Patterns and bands: which members of a product they stand for."""

import pytest

from pepsasync.errors import ConfigError
from pepsasync.query.members import BANDS, build_selection, selection_from

L1C = (
    "manifest.safe",
    "MTD_MSIL1C.xml",
    "INSPIRE.xml",
    "DATASTRIP/DS_X/MTD_DS.xml",
    "GRANULE/L1C_X/MTD_TL.xml",
    "GRANULE/L1C_X/QI_DATA/MSK_DETFOO_B02.jp2",
    "GRANULE/L1C_X/IMG_DATA/T31TCJ_20170102T104428_B02.jp2",
    "GRANULE/L1C_X/IMG_DATA/T31TCJ_20170102T104428_B08.jp2",
    "GRANULE/L1C_X/IMG_DATA/T31TCJ_20170102T104428_B8A.jp2",
    "GRANULE/L1C_X/IMG_DATA/T31TCJ_20170102T104428_TCI.jp2",
    "preview/quick-look.png",
)
L2A = (
    "manifest.safe",
    "MTD_MSIL2A.xml",
    "GRANULE/L2A_X/MTD_TL.xml",
    "GRANULE/L2A_X/IMG_DATA/R10m/T31TCJ_20220102T104428_B02_10m.jp2",
    "GRANULE/L2A_X/IMG_DATA/R20m/T31TCJ_20220102T104428_B02_20m.jp2",
    "GRANULE/L2A_X/IMG_DATA/R20m/T31TCJ_20220102T104428_SCL_20m.jp2",
    "GRANULE/L2A_X/IMG_DATA/R60m/T31TCJ_20220102T104428_B02_60m.jp2",
)
OLD = (
    "manifest.safe",
    "S2A_OPER_MTD_SAFL1C_PDMC_20160101T000000_R051.xml",
    "GRANULE/S2A_OPER_MSI_L1C_T31TCJ/S2A_OPER_MTD_L1C_TL_T31TCJ.xml",
    "GRANULE/S2A_OPER_MSI_L1C_T31TCJ/IMG_DATA/S2A_OPER_MSI_L1C_T31TCJ_B02.jp2",
    "GRANULE/S2A_OPER_MSI_L1C_T31TCJ/IMG_DATA/S2A_OPER_MSI_L1C_T31TCJ_B03.jp2",
)
GRD = (
    "manifest.safe",
    "measurement/s1a-iw-grd-vv-20151101t000000-001.tiff",
    "measurement/s1a-iw-grd-vh-20151101t000000-002.tiff",
    "annotation/s1a-iw-grd-vv-20151101t000000-001.xml",
    "annotation/calibration/calibration-s1a-iw-grd-vv-20151101t000000-001.xml",
    "annotation/calibration/noise-s1a-iw-grd-vh-20151101t000000-002.xml",
    "preview/quick-look.png",
)
OLCI = ("xfdumanifest.xml", "Oa01_radiance.nc", "Oa08_radiance.nc", "geo_coordinates.nc", "removed_pixels.nc")
SLSTR = ("xfdumanifest.xml", "S1_radiance_an.nc", "S8_BT_in.nc", "F1_BT_fn.nc", "geodetic_in.nc", "S8_quality_in.nc")


def chosen(paths, **given):
    return build_selection(**given).chosen(paths)


def names(paths):
    return [path.rpartition("/")[2] for path in paths]


@pytest.mark.parametrize(
    ("paths", "bands", "wanted"),
    [
        (L1C, "B02,B8A", [0, 1, 4, 6, 8]),
        (L1C, "tci", [0, 1, 4, 9]),
        (L1C, "B2", [0, 1, 4, 6]),
        (L2A, "B02", [0, 1, 2, 3, 4, 6]),
        (L2A, "B02_10m", [0, 1, 2, 3]),
        (L2A, ["b02_20M", "SCL"], [0, 1, 2, 4, 5]),
        (OLD, "B03", [0, 1, 2, 4]),
        (GRD, "VV", [0, 1, 3, 4]),
        (GRD, "vv,vh", [0, 1, 2, 3, 4, 5]),
        (OLCI, "Oa8", [0, 2, 3]),
        (SLSTR, "S8", [0, 2, 4, 5]),
        (SLSTR, "F1", [0, 3, 4]),
        (L1C, "VV", []),
        (GRD, "B02,VH", [0, 2, 5]),
    ],
)
def test_bands_are_their_files_and_the_metadata_that_is_needed_to_read_them(paths, bands, wanted):
    assert [paths[number] for number in wanted] == list(chosen(paths, bands=bands))


def test_bands_that_a_product_does_not_have_are_told():
    assert ("B11", "VV") == build_selection(bands="B02,B11,VV").missing_bands(L1C)


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("*.xml", ["MTD_MSIL1C.xml", "INSPIRE.xml", "MTD_DS.xml", "MTD_TL.xml"]),
        ("*_B0[248].jp2", ["MSK_DETFOO_B02.jp2", "T31TCJ_20170102T104428_B02.jp2", "T31TCJ_20170102T104428_B08.jp2"]),
        ("*_b8a.JP2", ["T31TCJ_20170102T104428_B8A.jp2"]),
        ("GRANULE/*/QI_DATA/*", ["MSK_DETFOO_B02.jp2"]),
        ("preview/", ["quick-look.png"]),
        ("*.SAFE/manifest.safe", ["manifest.safe"]),
        ("./INSPIRE.xml", ["INSPIRE.xml"]),
        ("inspire", []),
        ("quick-look", []),
    ],
)
def test_patterns_are_of_names_and_with_a_slash_of_paths(pattern, wanted):
    assert wanted == names(chosen(L1C, include=pattern))


def test_what_is_excluded_is_not_brought_whatever_includes_it():
    assert ["T31TCJ_20170102T104428_B02.jp2"] == names(
        chosen(L1C, include="*.jp2", exclude=["QI_DATA/*", "*/QI_DATA/*", "*_B08*", "*_B8A*", "*_TCI*"])
    )
    assert "manifest.safe" not in chosen(L1C, bands="B02", exclude="manifest.safe")
    assert list(L1C[:-1]) == list(chosen(L1C, exclude="preview/"))


def test_a_file_that_everything_includes_comes_with_bands_and_patterns():
    assert [
        "manifest.safe",
        "MTD_MSIL1C.xml",
        "MTD_TL.xml",
        "T31TCJ_20170102T104428_B08.jp2",
        "quick-look.png",
    ] == names(chosen(L1C, bands="B08", include="*.png"))


def test_metadata_alone_are_not_what_bands_ask_for():
    assert () == chosen(GRD, bands="B02")
    assert () == chosen(L1C, include="*.tif", bands="VV")


def test_nothing_given_is_everything():
    assert None is build_selection() is build_selection([], (), None) is build_selection("" or None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"bands": "B13"}, "no band 'B13'"),
        ({"bands": "B02,"}, "bands: a value is empty"),
        ({"bands": "VV_10m"}, "no band 'VV_10m'"),
        ({"bands": "B02_15m"}, "no band 'B02_15m'"),
        ({"bands": [2]}, "not text"),
        ({"include": " "}, "not a pattern"),
        ({"exclude": "../secret"}, "not a pattern"),
        ({"include": "/etc/*"}, "not a pattern"),
    ],
)
def test_what_makes_no_sense_is_refused(given, words):
    with pytest.raises(ConfigError, match=words):
        build_selection(**given)


def test_a_band_that_was_probably_meant_is_named():
    with pytest.raises(ConfigError, match="Did you mean B12"):
        build_selection(bands="B112")


@pytest.mark.parametrize("band", BANDS)
def test_every_band_is_known_in_small_letters_too(band):
    assert (band,) == build_selection(bands=band.lower()).bands


def test_a_selection_is_the_same_after_it_was_written():
    selection = build_selection(include=["*.xml", "a,b"], exclude="preview/", bands="B02,oa08")

    assert selection == selection_from(selection.as_dict())
    assert "--bands B02,Oa08 --include *.xml --include a --include b --exclude preview/" == str(selection)


@pytest.mark.parametrize("damage", [None, [], "x", {"bands": 7}, {"bands": "B99"}, {"include": [1]}, {"other": 1}])
def test_damage_is_no_selection(damage):
    assert None is selection_from(damage)


def test_commas_separate_patterns_as_they_do_bands():
    selection = build_selection(include="*_B0[2,4]_10m.jp2, *.xml", exclude=["preview/,HTML/", "*.kml"])

    assert selection.include == ("*_B0[2,4]_10m.jp2", "*.xml")
    assert selection.exclude == ("preview/", "HTML/", "*.kml")
    with pytest.raises(ConfigError, match="not a pattern"):
        build_selection(include="*.xml,")
