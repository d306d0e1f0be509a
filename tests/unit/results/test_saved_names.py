"""Where catalogues keep the name of a product."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.query.product_names import bare_name, product_name

S1 = "S1A_IW_GRDH_1SDV_20230101T060101_20230101T060126_046587_059566_4CF2"
S2 = "S2A_MSIL1C_20200815T005251_N0209_R002_T55PCR_20200815T023440"
OTHER = "S2B_MSIL1C_20200815T030549_N0209_R075_T55XEB_20200815T051416"
URN = "URN:FEATURE:DATA:gdh:25416e3f-1a7f-379a-9b65-a6539b1fd95b:V1"
UUID = "8a84f4dc-86e6-47d6-ae92-e2040873405d"


@pytest.mark.parametrize(
    "name",
    [
        S1,
        S2,
        "S1B_WV_OCN__2SSV_20190101T043210_20190101T043945_014302_01A9B7_9D2E",
        "S1A_S3_RAW__0SDH_20160101T100000_20160101T100020_009300_00D6F1_00FF",
        f"{S1}_COG",
        "S2B_MSIL2A_20260929T143741_N0513_R096_T19HCD_20260929T174811",
        "S2A_OPER_PRD_MSIL1C_PDMC_20151122T233415_R051_V20151122T105329_20151122T105329",
        "S3A_OL_1_EFR____20180821T095839_20180821T100139_20180822T135214_0180_034_350_2160_LN1_O_NT_002",
        "S3B_SL_2_LST____20200101T000000_20200101T000300_20200102T000000_0179_033_358_2340_MAR_O_NT_003",
    ],
)
def test_whole_names_are_found_within_addresses(name):
    href = f"s3://eodata/Sentinel/2020/01/01/{name}.SAFE/manifest.safe"

    assert product_name({"id": UUID, "assets": {"manifest": {"href": href}}}) == name


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({"id": UUID, "properties": {"name": S2}}, id="ours"),
        pytest.param({"id": UUID, "properties": {"productIdentifier": S2, "title": S2}}, id="resto"),
        pytest.param({"properties": {"productIdentifier": f"/eodata/Sentinel-2/{S2}.SAFE"}}, id="resto-path"),
        pytest.param({"id": URN, "properties": {"identifier": S2}}, id="geodes"),
        pytest.param({"id": URN, "assets": {f"{S2}.zip": {"href": "https://a/1", "title": "x"}}}, id="asset-key"),
        pytest.param({"id": URN, "assets": {"1": {"title": f"2020/08/15/{S2}_quicklook.jpg"}}}, id="asset-title"),
        pytest.param({"id": URN, "properties": {"endpoint_url": f"https://s3/l1c/{S2}.zip"}}, id="datalake"),
        pytest.param({"id": f"{S2}.SAFE", "properties": None}, id="stac-id"),
        pytest.param({"Id": UUID, "Name": f"{S2}.SAFE"}, id="odata"),
        pytest.param(
            {"id": S2, "properties": {"title": S2, "uid": UUID, "eodag_provider": "peps", "eodag_product_type": "S2"}},
            id="eodag-2",
        ),
        pytest.param(
            {"id": UUID, "collection": "S2_MSI_L1C", "properties": {"title": S2, "eodag:provider": "cop_dataspace"}},
            id="eodag-4",
        ),
        pytest.param(
            {"id": "S2A_55PCR_20200815_0_L1C", "properties": {"s2:product_uri": f"{S2}.SAFE", "title": "A scene"}},
            id="shortened-id",
        ),
        pytest.param(
            {
                "id": UUID,
                "links": [
                    {"rel": "derived_from", "href": f"https://a/{OTHER}"},
                    {"rel": "self", "href": f"https://a/items/{S2}"},
                ],
            },
            id="own-link",
        ),
    ],
)
def test_every_catalogue_tells_the_name_somewhere(record):
    assert product_name(record) == S2


def test_shortened_radar_id_gives_way_to_the_whole_name():
    record = {
        "id": S1.rpartition("_")[0],
        "assets": {"vv": {"href": f"https://a.example/GRD/{S1}/measurement/iw-vv.tiff"}},
    }

    assert product_name(record) == S1


@pytest.mark.parametrize(
    ("record", "name"),
    [
        pytest.param({"id": UUID, "properties": {"identifier": "LC08_L1TP_1"}}, "LC08_L1TP_1", id="identifier"),
        pytest.param({"id": "A", "properties": {"title": "A scene of Landsat"}}, "A", id="title-of-words"),
        pytest.param({"id": "A", "properties": {"identifier": UUID}}, "A", id="identifier-is-no-name"),
    ],
)
def test_names_of_other_missions_are_taken_as_they_are(record, name):
    assert product_name(record) == name


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({"id": URN}, id="urn"),
        pytest.param({"id": UUID.upper(), "properties": {"title": "two words"}}, id="uuid"),
        pytest.param({"id": UUID, "links": [{"rel": "derived_from", "href": f"https://a/{OTHER}"}]}, id="other"),
        pytest.param({"id": 12, "properties": {"name": None}, "assets": [], "links": {}}, id="wrong-types"),
        pytest.param([S2], id="list"),
    ],
)
def test_records_without_a_name_have_none(record):
    assert product_name(record) is None


@given(text=st.text())
def test_bare_names_stay_as_they_are(text):
    name = bare_name(text)

    assert bare_name(name) == name
    assert not {"/", "\\"} & {*name}
