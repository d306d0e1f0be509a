"""Pages of the catalogue behind ASF, as other programs meet them."""

import httpx

from archives import running


def granules(archive, mark=None, *, size):
    """One page of the granules of a collection."""
    url = f"{archive.asf_url}/cmr.earthdata.nasa.gov/search/granules.umm_json"
    form = {"provider": "ASF", "shortName": "SENTINEL-1A_SLC", "page_size": size}
    return httpx.post(url, data=form, headers={"CMR-Search-After": mark} if mark else {}, timeout=30, verify=False)


def length(reply):
    return len(reply.json()["items"])


def test_pages_end_with_an_empty_one_that_names_no_next():
    marks, ids = [None], []
    with running(40) as archive:
        while len(marks) < 40:
            reply = granules(archive, marks[-1], size=2)
            ids += [item["umm"]["GranuleUR"] for item in reply.json()["items"]]
            if "CMR-Search-After" not in reply.headers:
                break
            marks.append(reply.headers["CMR-Search-After"])

    assert length(reply) == 0
    assert len(marks) == len(set(marks)) == -(-len(ids) // 2) + 1
    assert reply.headers["CMR-Hits"] == str(len(ids)) == str(len(set(ids)))
    assert "umm_results+json" in reply.headers["Content-Type"]


def test_a_page_may_be_short_though_others_follow():
    with running(40, faults={"short-page": 1.0}, fault_limit=1) as archive:
        short, whole = (granules(archive, size=2) for _ in range(2))

    assert (length(short), length(whole)) == (1, 2)
    assert short.headers["CMR-Hits"] == whole.headers["CMR-Hits"]
    assert "CMR-Search-After" in short.headers


def test_a_page_that_was_cut_off_says_so():
    with running(40, faults={"search-cut": 1.0}, fault_limit=1) as archive:
        cut, whole = (granules(archive, size=2) for _ in range(2))

    assert (length(cut), length(whole)) == (1, 2)
    assert (cut.headers.get("CMR-Timed-Out"), whole.headers.get("CMR-Timed-Out")) == ("true", None)
