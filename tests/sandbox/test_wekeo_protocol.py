"""WEkEO as other programs meet it: searches, orders, their quota, tokens and terms."""

import contextlib
import json
import time

import httpx
import pytest

from archives import running

API = "/hda-broker/api/v1"
DATASET = "EO:ESA:DAT:SENTINEL-1"


class Program:
    """Asks a sandbox as an account that has logged in."""

    def __init__(self, archive, http):
        self.archive, self.http = archive, http
        self.token = self.log_in().json().get("access_token")

    def log_in(self, path="/identity/gettoken", **given):
        account = {"username": self.archive.username, "password": self.archive.password}
        return self.http.post(path, json=account | given)

    def ask(self, method, path, *, headers=(), **given):
        own = {"Authorization": f"Bearer {self.token}", **dict(headers)}
        return self.http.request(method, f"{API}{path}", headers=own, **given)

    def search(self, **given):
        return self.ask("POST", "/dataaccess/search", json={"dataset_id": DATASET, **given})

    def features(self, **given):
        return self.search(**given).json()["features"]

    def order(self, feature, **changes):
        body = {"dataset_id": DATASET, "product_id": feature["id"], "location": feature["properties"]["location"]}
        return self.ask("POST", "/dataaccess/download", json=body | changes)

    def ordered(self, **changes):
        """Id of the order of the first product."""
        return self.order(self.features()[0], **changes).json()["download_id"]

    def file(self, order, method="GET", **given):
        return self.ask(method, f"/dataaccess/download/{order}", **given)

    def status(self, order):
        """What a request tells that asks only whether a file is there."""
        return self.file(order, "HEAD").status_code

    def told(self, order):
        """State of an order in words."""
        return self.ask("GET", "/dataaccess/downloads", params={"download_id": order}).json()["features"]


@contextlib.contextmanager
def opened(**options):
    """A program at an archive of its own, everything on disk."""
    with (
        running(12, **({"tape_fraction": 0} | options)) as archive,
        httpx.Client(base_url=archive.wekeo_url, timeout=30, verify=False) as http,
    ):
        yield Program(archive, http)


@pytest.fixture(scope="module")
def program():
    with opened() as made:
        yield made


def test_pages_say_where_the_next_begins(program):
    everything = program.search(itemsPerPage=200).json()
    first, second = (program.search(itemsPerPage=2, startIndex=start).json() for start in (0, 2))

    assert first["properties"] == {"itemsPerPage": 2, "startIndex": 0, "nextIndex": 2}
    assert first["features"] + second["features"] == everything["features"][:4]
    assert everything["properties"] == {"itemsPerPage": 200, "startIndex": 0}


def test_pages_may_say_how_many_products_there_are():
    with opened(wekeo_totals=True) as program:
        first, everything = (program.search(itemsPerPage=size).json() for size in (2, 200))

    assert first["properties"] == {"itemsPerPage": 2, "startIndex": 0, "totalResults": len(everything["features"])}


def test_pages_may_say_neither():
    with opened(faults={"next-missing": 1.0}) as program:
        assert program.search(itemsPerPage=2).json()["properties"] == {"itemsPerPage": 2, "startIndex": 0}


@pytest.mark.parametrize("size", [0, 201])
def test_pages_have_a_largest_size(size, program):
    assert program.search(itemsPerPage=size).status_code == 400


def test_unknown_parameters_are_refused(program):
    refused = program.search(sensorMode="IW")

    assert refused.status_code == 400
    assert "sensorMode" in refused.json()["detail"]


def test_unknown_parameters_may_be_ignored():
    with opened(wekeo_strict=False) as program:
        assert program.features(sensorMode="XX") == program.features() != []


@pytest.mark.parametrize(
    ("period", "status"),
    [
        ({}, 500),
        ({"startdate": "", "enddate": ""}, 500),
        ({"startdate": "2015-01-01T00:00:00Z", "enddate": "2016-01-01T00:00:00Z"}, 200),
    ],
)
def test_sentinel_3_takes_a_period(period, status, program):
    assert program.search(dataset_id="EO:ESA:DAT:SENTINEL-3", **period).status_code == status


def test_ends_of_periods_are_inclusive(program):
    feature = program.features()[-1]
    period = {"startdate": feature["properties"]["enddate"], "enddate": feature["properties"]["enddate"]}

    assert feature in program.features(**period)


def test_sizes_may_be_unknown():
    with opened(faults={"size-unknown": 1.0}) as program:
        assert {each["properties"]["size"] for each in program.features()} == {"ND"}


def test_orders_take_the_id_with_its_suffix(program):
    feature = program.features()[0]
    refused = program.order(feature, product_id=feature["id"].removesuffix(".SAFE"))

    assert feature["id"].endswith(".SAFE")
    assert (refused.status_code, refused.json()["title"]) == (500, "Task Error")
    assert program.order(feature).status_code == 200


def test_a_product_may_fail_for_ever_with_an_error_inside_an_error():
    with opened(faults={"task-error": 1.0}, fault_limit=3) as program:
        feature = program.features()[0]
        refused = [program.order(feature) for _ in range(3)]

    assert [each.status_code for each in refused] == [500] * 3
    assert json.loads(refused[0].json()["detail"])["detail"].startswith("message='list index out of range'")


def test_an_order_takes_its_time():
    now = [0.0]
    with opened(wekeo_order_seconds=50, clock=lambda: now[0]) as program:
        order = program.ordered()
        early, early_words = program.file(order), program.told(order)
        early_status = program.status(order)
        now[0] = 50.0
        status, words = program.status(order), program.told(order)

    assert (early.status_code, early.content, early_status) == (202, b"", 202)
    assert early_words == [{"_id": order, "status": "running", "message": ""}]
    assert status == 200
    assert words == [{"_id": order, "status": "Done", "message": ""}]


def test_what_the_service_shall_keep_takes_ten_times_as_long():
    now = [0.0]
    with opened(wekeo_order_seconds=10, clock=lambda: now[0]) as program:
        first, second = program.features()[:2]
        kept, other = (
            program.order(feature, cacheable=is_kept).json()["download_id"]
            for feature, is_kept in ((first, True), (second, False))
        )
        statuses = []
        for now[0] in (9.0, 10.0, 99.0, 100.0):
            statuses.append((program.status(kept), program.status(other)))

    assert statuses == [(202, 202), (202, 200), (202, 200), (200, 200)]


def test_what_is_on_tape_is_brought():
    now = [0.0]
    with opened(tape_fraction=1.0, staging_seconds=30, mount_seconds=5, clock=lambda: now[0]) as program:
        order = program.ordered()
        now[0] = 34.0
        early = program.status(order)
        now[0] = 35.0

        assert (early, program.status(order)) == (202, 200)


def test_an_order_that_is_repeated_is_the_same_and_free():
    with opened(wekeo_quota=1) as program:
        feature = program.features()[0]
        replies = [program.order(feature) for _ in range(3)]

        assert [each.status_code for each in replies] == [200] * 3
        assert len({each.json()["download_id"] for each in replies}) == 1
        assert program.archive.statistics.orders == 1


def test_an_order_that_is_repeated_may_get_another_id_and_is_free():
    with opened(wekeo_quota=1, wekeo_new_ids=True) as program:
        feature = program.features()[0]
        orders = {program.order(feature).json()["download_id"] for _ in range(3)}

        assert len(orders) == 3
        assert {program.status(order) for order in orders} == {200}
        assert program.archive.statistics.orders == 1


def test_an_order_that_failed_is_made_anew_once():
    with opened(wekeo_quota=2, faults={"order-failed": 1.0}, fault_limit=1) as program:
        failed = program.ordered()
        status, words = program.status(failed), program.told(failed)
        again = [program.ordered() for _ in range(2)]

        assert status == 500
        assert words == [{"_id": failed, "status": "Error", "message": "The data provider failed"}]
        assert again[0] == again[1] != failed
        assert program.archive.statistics.orders == 2


def test_orders_end():
    now = [0.0]
    with opened(wekeo_order_life=100, clock=lambda: now[0]) as program:
        order = program.ordered()
        now[0] = 99.0
        early = program.status(order)
        now[0] = 100.0

        assert (early, program.status(order), program.told(order)) == (200, 404, [])


def test_the_quota_counts_orders():
    now = [0.0]
    with opened(wekeo_quota=2, wekeo_quota_seconds=400, clock=lambda: now[0]) as program:
        features, before = program.features(), time.time()
        made = [program.order(feature) for feature in features[:3]]
        after = time.time()
        now[0] = 400.0

        assert [each.status_code for each in made] == [200, 200, 429]
        assert [each.headers["X-Quota-Remaining"] for each in made] == ["1", "0", "0"]
        assert int((before + 400) * 1000) <= int(made[-1].headers["X-Quota-Reset"]) <= (after + 400) * 1000
        assert program.order(features[2]).status_code == 200


def test_the_quota_may_not_be_told():
    with opened(wekeo_quota=0, wekeo_quota_headers=False) as program:
        refused = program.order(program.features()[0])

    assert refused.status_code == 429
    assert not [name for name in refused.headers if name.startswith("x-quota")]


@pytest.mark.parametrize(("ranges", "status", "first"), [(False, 200, 0), (True, 206, 5)])
def test_ranges_may_be_ignored(ranges, status, first):
    with opened(wekeo_ranges=ranges) as program:
        feature = program.features()[0]
        reply = program.file(program.ordered(), headers={"Range": "bytes=5-"})
        content = program.archive.content(feature["id"].removesuffix(".SAFE")).read()

    assert reply.status_code == status
    assert reply.content == content[first:]


@pytest.mark.parametrize(("faults", "is_told"), [({}, True), ({"length-none": 1.0}, False)])
def test_a_file_may_come_without_its_length(faults, is_told):
    with opened(faults=faults) as program:
        feature = program.features()[0]
        reply = program.file(program.ordered())
        content = program.archive.content(feature["id"].removesuffix(".SAFE")).read()

    assert reply.headers.get("Content-Length") == (str(len(content)) if is_told else None)
    assert reply.content == content


def test_files_may_be_elsewhere_where_tokens_are_noticed():
    with opened(wekeo_redirect=True) as program:
        sent_on = program.file(program.ordered())
        program.http.get(sent_on.headers["Location"])
        before = program.archive.statistics.leaked_tokens
        program.http.get(sent_on.headers["Location"], headers={"Authorization": "Bearer x"})

        assert sent_on.status_code == 307
        assert sent_on.next_request.url.host != program.http.base_url.host
        assert (before, program.archive.statistics.leaked_tokens) == (0, 1)


@pytest.mark.parametrize("status", [401, 403])
def test_tokens_end_and_are_continued_once(status):
    now = [0.0]
    with opened(wekeo_refusal=status, token_seconds=100, clock=lambda: now[0]) as program:
        session = program.log_in().json()
        now[0] = 100.0
        old = program.search()
        form = {"refresh_token": session["refresh_token"]}
        fresh, again = (program.http.post("/hda-broker/refreshtoken", data=form) for _ in range(2))
        program.token = fresh.json()["access_token"]

        assert (old.status_code, fresh.status_code, again.status_code) == (status, 200, 403)
        assert program.search().status_code == 200


def test_where_an_account_is_from_matters():
    with opened(wekeo_origin="eumetsat") as program:
        found = [program.log_in(**given) for given in ({}, {"origin": "cmems"}, {"origin": "eumetsat"})]

    assert [each.status_code for each in found] == [401, 401, 200]


@pytest.mark.parametrize(("error_200", "status"), [(False, 401), (True, 200)])
def test_a_refused_login_may_come_with_200(error_200, status):
    with opened(wekeo_error_200=error_200) as program:
        refused = program.log_in(password="wrong")

    assert refused.status_code == status
    assert "access_token" not in refused.json()


@pytest.mark.parametrize(("old", "status"), [(False, 200), (True, 404)])
def test_the_login_was_elsewhere_before(old, status):
    with opened(wekeo_old_login=old) as program:
        assert program.log_in("/identity/gettoken").status_code == status
        assert program.log_in("/hda-broker/gettoken").status_code == 200


@pytest.mark.parametrize("status", [403, 404])
def test_terms_are_accepted_for_good_until_that_is_taken_back(status):
    with opened(wekeo_terms=False, wekeo_terms_status=status) as program:
        listed = [term["term_id"] for term in program.ask("GET", "/terms").json()["features"]]
        before = program.search()
        for term in listed:
            program.ask("PUT", f"/termsaccepted/{term}")
        accepted = program.search()
        program.ask("DELETE", "/termsaccepted/Copernicus_Sentinel_License")

        assert [each.status_code for each in (before, accepted, program.search())] == [status, 200, status]
        assert len(listed) == len(set(listed)) + 1
