"""Several products of the Copernicus Data Space with one request: `OData.CSC.FilterList` (CDSE notes, News).

Nobody has recorded how many names it takes, or what it expands, so each answer is only believed as far as it goes; what
it leaves out is asked for one by one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import anyio

from pepsasync.errors import ProtocolError, ProviderError, QuotaError, ServerError, UnavailableError, UnreachableError
from pepsasync.providers.reading import as_mapping, as_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pepsasync.http.client import Http

LIST_SIZE = 20
"""Names of one request: as many records as the archive sends when it is not asked for more."""

_FILE_NAME = re.compile(r"(S[12][A-Z]_(?!OPER_)|(S3[A-Z]_))\w+")
"""Names of products whose folders have a known extension, which the list wants to be told."""


class Lists:
    """Asks for products by name, several at once, as long as the archive takes that.

    Args:
        http: Connection pool.
        url: Of all products.
    """

    def __init__(self, http: Http, url: str) -> None:
        self._http = http
        self._url = f"{url}/OData.CSC.FilterList"
        self._is_offered = True
        self._groups: dict[str, tuple[str, ...]] = {}
        self._found: dict[str, list[Any]] = {}
        self._turn = anyio.Lock()

    def expect(self, names: Iterable[str]) -> None:
        """Group names that are going to be looked up one after the other."""
        known = [name for name in names if file_name(name)]
        for first in range(0, len(known), LIST_SIZE):
            group = tuple(known[first : first + LIST_SIZE])
            if len(group) > 1:
                self._groups |= dict.fromkeys(group, group)

    async def records(self, name: str) -> list[Any]:
        """What the archive has under a name that was expected, asked for with its group; empty when nobody knows.

        Raises:
            ProviderError: The archive serves nobody at the moment.
        """
        async with self._turn:
            group = self._groups.get(name, ())
            if name not in self._found and group:
                found = await self.ask(group, {"$expand": ["Attributes", "Assets"], "$top": str(LIST_SIZE)})
                for other in group:
                    self._groups.pop(other, None)
                    self._found[other] = []
                for record in found:
                    bare = _bare(as_text(record.get("Name")) or "")
                    if bare in group and record.get("Attributes"):  # else it was not expanded, and tells too little
                        self._found[bare].append(record)
            return self._found.pop(name, [])

    async def ask(self, names: Sequence[str], parameters: dict[str, Any]) -> list[Any]:
        """Records of products with these names; those that are missing may be there all the same.

        Raises:
            ProviderError: The archive serves nobody at the moment.
        """
        files = [file for name in names if (file := file_name(name))]
        if len(files) < 2 or not self._is_offered:
            return []
        body = {"FilterProducts": [{"Name": file} for file in files]}
        request = self._http.build("POST", self._url, params=parameters, json=body)
        try:
            reply = as_mapping(await self._http.json(request, is_search="$expand" in parameters))
            if not isinstance(reply.get("value"), list):
                raise ProtocolError("the reply to a list of names is not a list of products")
        except (QuotaError, UnavailableError, UnreachableError):
            raise
        except ProviderError as error:
            self._is_offered = isinstance(error, ServerError)
            return []
        return [record for record in reply["value"] if isinstance(record, dict)]


def file_name(name: str) -> str | None:
    """Name of a product's folder; None where that is not known for sure."""
    match = _FILE_NAME.fullmatch(name)
    return match and f"{name}{'.SEN3' if match[2] else '.SAFE'}"


def _bare(file: str) -> str:
    return file.removesuffix(".SAFE").removesuffix(".SEN3")
