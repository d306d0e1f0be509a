"""Records that cannot be read in the replies of real protocols: an order removes none of their products."""

import json

import pytest

from archives import connect, final_names, sandbox
from pepsasync.query.criteria import build_query
from pepsasync.sandbox.asf import search as asf_search
from pepsasync.sandbox.cdse import search as cdse_search
from pepsasync.sync.run import carry_out

ORDER = build_query(collection="S1")
SPOILT = {
    "cdse": (cdse_search, "value", lambda record: record.update(Id=None)),
    "asf": (asf_search, "items", lambda record: record["umm"].update(RelatedUrls=None)),
}


@pytest.mark.anyio
@pytest.mark.parametrize("provider", SPOILT)
async def test_a_product_whose_record_cannot_be_read_stays(provider, monkeypatch, tmp_path):
    module, records, spoil = SPOILT[provider]
    reply, spoilt = module.json_reply, []

    def changed(document, *more, **options):
        for record in document.get(records, ()):
            if any(name in json.dumps(record) for name in spoilt):
                spoil(record)
        return reply(document, *more, **options)

    monkeypatch.setattr(module, "json_reply", changed)
    async with sandbox(6, tape_fraction=0, product_size=30_000) as archive, connect(archive, provider) as client:
        await carry_out(client, ORDER, tmp_path)
        before = final_names(tmp_path)
        spoilt.append(before[0].removesuffix(".zip"))
        done = await carry_out(client, ORDER, tmp_path, prunes=True)

    assert len(before) == 3
    assert done.removed == []
    assert final_names(tmp_path) == before
